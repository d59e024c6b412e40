//! The rules of a fork: those of one of revm's, with the opcodes and prices that Python gives
//! (`runtimes/evm/revm/guest_rules.py`).

use crate::Ctx;
use crate::instructions::{INSTRUCTIONS, In, net_sstore};
use crate::regions;
use crate::wire::Reader;
use revm::bytecode::opcode;
use revm::context::CfgEnv;
use revm::context_interface::cfg::GasId;
use revm::handler::instructions::InstructionProvider;
use revm::interpreter::instructions::{GasTable, gas_table_spec};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionExecResult, InstructionTable};
use revm::primitives::hardfork::SpecId;

type Table = InstructionTable<EthInterpreter, Ctx>;

/// Price of an opcode that the fork does not have.
const ABSENT: u16 = u16::MAX;

/// The instructions of a fork with their static prices.
pub struct Instructions {
    plain: Box<Table>,
    /// Those of code with compiled regions.
    pub regions: Box<Table>,
    gas: GasTable,
    /// No contract is created at an account with slots (EIP-7610).
    pub slots_collide: bool,
}

impl InstructionProvider for Instructions {
    type Context = Ctx;
    type InterpreterTypes = EthInterpreter;

    fn instruction_table(&self) -> &Table {
        &self.plain
    }

    fn gas_table(&self) -> &GasTable {
        &self.gas
    }
}

impl Default for Instructions {
    fn default() -> Self {
        Self {
            plain: Box::new(INSTRUCTIONS),
            regions: Box::new(regions::TABLE),
            gas: gas_table_spec(SpecId::default()),
            slots_collide: true,
        }
    }
}

/// Read a fork: revm's number, whether its net prices of slots are those of EIP-1283 and slots collide with creations, the
/// static prices of opcodes, and the prices of `GasParams`. Return its instructions, and set its prices.
pub fn read(read: &mut Reader<'_>, cfg: &mut CfgEnv) -> Instructions {
    let spec = SpecId::try_from_u8(read.u32() as u8).expect("a fork of revm");
    let has_net_slots = read.u32() != 0;
    cfg.set_spec_and_mainnet_gas_params(spec);
    cfg.enable_amsterdam_eip8037 = spec.is_enabled_in(SpecId::AMSTERDAM);
    cfg.enable_amsterdam_eip2780 = cfg.enable_amsterdam_eip8037;
    let mut made = Instructions { slots_collide: read.u32() != 0, ..Instructions::default() };
    for number in 0..256 {
        made.gas[number] = read.u16();
        let added = added(number as u8).filter(|(_, since)| !spec.is_enabled_in(*since));
        let instruction = match added {
            _ if made.gas[number] == ABSENT => {
                made.gas[number] = 0;
                Instruction::unknown()
            }
            Some((instruction, _)) => instruction,
            None if has_net_slots && number == opcode::SSTORE as usize => Instruction::new(net_sstore),
            None => continue,
        };
        made.plain[number] = instruction;
        made.regions[number] = instruction;
    }
    cfg.gas_params.override_gas(read.list(|read| (GasId::new(read.u32() as u8), read.u64())));
    made
}

/// Execute an instruction of a later fork of revm.
fn later<const OPCODE: u8>(input: In<'_>) -> InstructionExecResult {
    let (frame, host) = (input.interpreter, input.host);
    let spec = std::mem::replace(&mut frame.runtime_flag.spec_id, SpecId::AMSTERDAM);
    let result = INSTRUCTIONS[OPCODE as usize].execute(InstructionContext { interpreter: &mut *frame, host });
    frame.runtime_flag.spec_id = spec;
    result
}

/// Return the instruction of an opcode that can be added to an earlier fork, and the fork that has it.
fn added(number: u8) -> Option<(Instruction<EthInterpreter, Ctx>, SpecId)> {
    macro_rules! find {
        ($($opcode:ident $fork:ident;)*) => {
            match number {
                $(opcode::$opcode => Some((Instruction::new(later::<{ opcode::$opcode }>), SpecId::$fork)),)*
                _ => None,
            }
        };
    }
    find! {
        CHAINID ISTANBUL;
        BASEFEE LONDON;
        PUSH0 SHANGHAI;
        TLOAD CANCUN;
        TSTORE CANCUN;
        MCOPY CANCUN;
        CLZ OSAKA;
        SLOTNUM AMSTERDAM;
        DUPN AMSTERDAM;
        SWAPN AMSTERDAM;
        EXCHANGE AMSTERDAM;
    }
}
