//! The rules of a fork: those of one of revm's, with the opcodes and prices that Python gives
//! (`runtimes/evm/revm/guest_rules.py`).

use crate::Ctx;
use crate::instructions::{INSTRUCTIONS, In, net_sstore};
use crate::protocol;
use crate::regions;
use crate::wire::Reader;
use revm::bytecode::opcode;
use revm::context::CfgEnv;
use revm::context_interface::cfg::GasId;
use revm::handler::instructions::InstructionProvider;
use revm::interpreter::instructions::{GasTable, gas_table_spec};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionExecResult, InstructionTable};
use revm::primitives::HashMap;
use revm::primitives::hardfork::SpecId;

type Table = InstructionTable<EthInterpreter, Ctx>;

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

/// Read a fork: its rules, the static prices of its opcodes, and the prices of `GasParams`. Net prices of slots are those of
/// EIP-1283, and slots collide with creations, if the rules say so. Return its instructions, and set its prices.
pub fn read(read: &mut Reader<'_>, cfg: &mut CfgEnv) -> Instructions {
    let rules: protocol::ForkRules = read.get();
    let spec = SpecId::try_from_u8(rules.spec as u8).expect("a fork of revm");
    cfg.set_spec_and_mainnet_gas_params(spec);
    cfg.enable_amsterdam_eip8037 = spec.is_enabled_in(SpecId::AMSTERDAM);
    cfg.enable_amsterdam_eip2780 = cfg.enable_amsterdam_eip8037;
    let mut made = Instructions { slots_collide: rules.slots_collide, ..Instructions::default() };
    let prices: HashMap<u32, u64> = read.list::<protocol::Price>().iter().map(|row| (row.id, row.price)).collect();
    for number in 0..256 {
        let price = prices.get(&(number as u32)).copied();
        made.gas[number] = price.unwrap_or_default() as u16;
        let added = added(number as u8).filter(|(_, since)| !spec.is_enabled_in(*since));
        let instruction = match added {
            _ if price.is_none() => Instruction::unknown(),
            Some((instruction, _)) => instruction,
            None if rules.net_slots && number == opcode::SSTORE as usize => Instruction::new(net_sstore),
            None => continue,
        };
        made.plain[number] = instruction;
        made.regions[number] = instruction;
    }
    let prices = read.list::<protocol::Price>();
    cfg.gas_params.override_gas(prices.iter().map(|row| (GasId::new(row.id as u8), row.price)));
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
