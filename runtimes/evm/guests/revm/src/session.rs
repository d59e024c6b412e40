//! The session's state, and the phases of a transaction: revm's handler, with a loop of frames that stops and goes on.

use crate::borders::Borders;
use crate::campaign::{Campaign, Following, Outcome};
use crate::cheats::machine::REJECTED;
use crate::cheats::state::Cheats;
use crate::database::{Missing, State, Stop};
use crate::exchange::Exchanged;
use crate::forks::{self, Instructions};
use crate::instructions::{self, Control};
use crate::isolation::Isolation;
use crate::native::Native;
use crate::precompiles::Precompiles;
use crate::protocol::{self, Exit, NO_LIMIT, SAME_LOGS, account_flag, answer, drain_flag, end_event, mode};
use crate::record::{self, Detail, Record};
use crate::snapshots::Snapshot;
use crate::wire::{Reader, Write, flag, overwrite, write_logs};
use revm::context::result::{EVMError, InvalidTransaction, ResultGas};
use revm::context::{BlockEnv, CfgEnv, Context, Evm, Journal, JournalEntry, LocalContext, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::context_interface::either::Either;
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::context_interface::journaled_state::entry::JournalEntryTr;
use revm::context_interface::transaction::{
    AccessList, AccessListItem, Authorization, RecoveredAuthority, RecoveredAuthorization,
};
use revm::context_interface::{FrameStack, JournalTr, LocalContextTr};
use revm::handler::execution::runtime_oog_unwind;
use revm::handler::pre_execution::load_accounts;
use revm::handler::{EthFrame, EvmTr, FrameResult, Handler, ItemOrResult, MainnetHandler};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::interpreter_types::Jumps;
use revm::interpreter::{CallValue, FrameInput, GasTracker, InitialAndFloorGas, InstructionResult, InterpreterAction};
use revm::primitives::constants::CALL_STACK_LIMIT;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, Bytes, HashMap, HashSet, KECCAK_EMPTY, TxKind, U256};
use revm::state::{Account, AccountInfo, Bytecode, EvmState};
use std::mem;

pub type Ctx = Context<BlockEnv, TxEnv, CfgEnv, State, Journal<State>, Control, LocalContext>;
pub type Frames = EthFrame<EthInterpreter>;
type Machine = Evm<Ctx, (), Instructions, Precompiles, Frames>;
type Rules = MainnetHandler<Machine, EVMError<Stop>, Frames>;

/// What an account's changes are, beside the journal's present values.
#[derive(Clone, Default)]
pub struct Changes {
    slots: HashSet<U256>,
    /// Position among the accounts that have existed, also if only for a while; None for one that was only touched.
    position: Option<u32>,
    code: bool,
    /// The account was removed, with its slots.
    wiped: bool,
}

/// What undoes a transaction that was kept: its journal, the accounts that it removed, and those that lost their slots.
struct Kept {
    journal: Vec<JournalEntry>,
    removed: Vec<(Address, Account)>,
    /// Accounts whose slots it has cleared.
    cleared: Vec<Address>,
    /// What was held before it has restored a snapshot for the first time.
    exchanged: Option<Exchanged>,
}

/// The transaction in execution.
#[derive(Default)]
pub struct Running {
    pub mode: u32,
    begun: bool,
    init_gas: InitialAndFloorGas,
    gas: GasTracker,
    refund: i64,
    pub held: Option<FrameInit>,
    /// Code, empty code of a delegate, or a precompile was executed.
    ran: bool,
}

/// Calls that run one after the other, as long as none stops.
#[derive(Default)]
pub struct Batch {
    pub following: Following,
    /// The call without effect after each one that succeeds; empty for none.
    pub check: Vec<u8>,
    /// The state may have changed since the check last succeeded.
    pub is_due: bool,
    pub goes_on: bool,
    /// Cheatcodes have set other things than before one of the calls.
    has_cheated: bool,
    /// What calls that have ended have given, as far as Python has not read it; the number of those that others follow.
    pub results: Vec<u8>,
    pub ended: u32,
}

pub struct Session {
    pub evm: Machine,
    /// The fork's rules as Python has given them.
    fork: Vec<u8>,
    gas_cap: u64,
    /// Steps between two stops, and what varies them.
    steps: u32,
    phase: u32,
    /// Size in bytes of a part of a record.
    record_size: u32,
    /// The fork whose rules hold for accounts: delegations, and removal by SELFDESTRUCT. Forge's EVM versions have Prague's.
    account_spec: SpecId,
    pub running: Running,
    pub borders: Borders,
    /// What cheatcodes have set.
    pub cheats: Cheats,
    /// Times that they have set the block's number or time.
    pub times: u32,
    pub batch: Batch,
    pub campaign: Option<Box<Campaign>>,
    pub changes: HashMap<Address, Changes>,
    pub positions: u32,
    pub exchanged: Vec<Exchanged>,
    /// Slots with original words from before the newest exchange.
    pub originals: Vec<(Address, U256, U256)>,
    /// Accounts that the transaction has created or destroyed before the newest exchange.
    pub statuses: Vec<(Address, u32)>,
    history: Vec<Kept>,
    /// Copies of snapshots by number, the number of the last one, those that Python has not got, and the bytes of all.
    pub snapshots: HashMap<u32, Snapshot>,
    pub last_snapshot: u32,
    pub own_snapshots: Vec<u32>,
    pub copied: usize,
    /// Number of times that Python has set the rules, the block, or prices of the transaction.
    pub environments: u32,
    /// Number of the last state tree.
    pub trees: u32,
    /// Hashes of the codes that records have had.
    sent: HashSet<B256>,
    /// What the transaction has accessed that was kept last.
    pub accessed: Vec<u8>,
}

impl Default for Session {
    fn default() -> Self {
        let spec = SpecId::default();
        let mut evm = Evm {
            ctx: Ctx::new(State::default(), spec),
            inspector: (),
            instruction: Instructions::default(),
            precompiles: Precompiles::default(),
            frame_stack: FrameStack::new_prealloc(8),
        };
        evm.ctx.cfg.tx_chain_id_check = false;
        Self {
            evm,
            fork: Vec::new(),
            gas_cap: 0,
            steps: 0,
            phase: 0,
            record_size: 0,
            account_spec: spec,
            running: Running::default(),
            borders: Borders::default(),
            cheats: Cheats::default(),
            times: 0,
            batch: Batch::default(),
            campaign: None,
            changes: HashMap::default(),
            positions: 0,
            exchanged: Vec::new(),
            originals: Vec::new(),
            statuses: Vec::new(),
            history: Vec::new(),
            snapshots: HashMap::default(),
            last_snapshot: 0,
            own_snapshots: Vec::new(),
            copied: 0,
            environments: 0,
            trees: 0,
            sent: HashSet::default(),
            accessed: Vec::new(),
        }
    }
}

/// Execution gas of a call of the system.
const SYSTEM_GAS: u64 = 30_000_000;
/// Bytes of a log beside its data: address, four topics, and two lengths.
const MAX_LOG_HEADER: usize = 20 + 4 * 32 + 2 * 4;
const PRECOMPILE3: Address = revm::primitives::PRECOMPILE3;

impl Session {
    /// Forget the state, as if nothing had been supplied. Changes that were not drained are lost.
    pub fn reset(&mut self) -> u32 {
        self.evm.ctx.journaled_state.inner.finalize();
        self.evm.ctx.journaled_state.database.reset();
        self.changes.clear();
        self.positions = 0;
        self.history.clear();
        self.snapshots.clear();
        self.own_snapshots.clear();
        self.copied = 0;
        self.sent.clear();
        self.evm.ctx.chain.heat_left = 0; // it begins anew, so that what a session does depends on nothing before it
        0
    }

    pub fn forget_code(&mut self) -> u32 {
        self.evm.ctx.journaled_state.database.forget_code();
        0
    }

    /// Undo transactions until this number of them is left. Changes that were not drained are forgotten.
    pub fn undo(&mut self, input: &[u8]) -> u32 {
        let left = Reader(input).get::<protocol::Count>().count as usize;
        let clears = self.evm.ctx.journaled_state.inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        for mut kept in self.history.split_off(left).into_iter().rev() {
            if let Some(before) = kept.exchanged {
                self.restore(before);
                kept.journal = mem::take(&mut self.evm.ctx.journaled_state.inner.journal);
                kept.removed.clear();
                kept.cleared.clear();
            }
            let journal = &mut self.evm.ctx.journaled_state;
            kept.cleared.into_iter().for_each(|address| journal.database.restore_slots(address));
            journal.inner.state.extend(kept.removed.into_iter().rev());
            for entry in kept.journal.into_iter().rev() {
                entry.revert(&mut journal.inner.state, None, clears);
            }
        }
        self.evm.ctx.journaled_state.inner.commit_tx();
        self.changes.clear();
        self.positions = 0;
        0
    }

    pub fn set_rules(&mut self, input: &[u8]) -> u32 {
        self.environments += 1;
        let mut read = Reader(input);
        let fork = read.data();
        let rules: protocol::Rules = read.get();
        let account_spec = SpecId::try_from_u8(rules.account_spec as u8).expect("a fork of revm");
        let ctx = &mut self.evm.ctx;
        if fork != self.fork {
            self.fork = fork.to_vec();
            self.evm.instruction = forks::read(&mut Reader(fork), &mut ctx.cfg);
            ctx.chain.regions.clear();
        }
        let spec = ctx.cfg.spec;
        if account_spec.is_enabled_in(SpecId::PRAGUE) != self.account_spec.is_enabled_in(SpecId::PRAGUE) {
            ctx.journaled_state.database.forget_code();
        }
        self.account_spec = account_spec;
        let cfg = &mut ctx.cfg;
        cfg.chain_id = rules.chain_id;
        cfg.memory_limit = rules.memory_limit;
        let size = |limit: u32| Some(if limit == NO_LIMIT { usize::MAX } else { limit as usize });
        cfg.limit_contract_code_size = size(rules.code_limit);
        cfg.limit_contract_initcode_size = size(rules.init_code_limit);
        cfg.max_blobs_per_tx = Some(rules.max_blobs);
        self.gas_cap = rules.gas_cap;
        self.steps = rules.pause_steps;
        self.record_size = rules.record_size;
        let (precompiles, of_kernel) = (read.list(), read.list());
        self.evm.precompiles.set(spec, precompiles, of_kernel);
        0
    }

    pub fn set_block(&mut self, input: &[u8]) -> u32 {
        let given: protocol::BlockValues = Reader(input).get();
        self.environments += 1;
        let ctx = &mut self.evm.ctx;
        ctx.journaled_state.database.forget_hashes();
        let block = &mut ctx.block;
        block.number = given.number;
        block.timestamp = given.timestamp;
        block.gas_limit = given.gas_limit;
        block.basefee = given.base_fee;
        let blob_gasprice = given.blob_base_fee;
        block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice });
        block.beneficiary = given.coinbase;
        block.prevrandao = Some(given.randomness);
        block.difficulty = U256::from_be_bytes(given.randomness.0);
        block.slot_num = given.slot_number;
        0
    }

    // --- a transaction ------------------------------------------------------------------------------------------

    pub fn transact(&mut self, input: &[u8], output: &mut Vec<u8>) -> Exit {
        let mut read = Reader(input);
        self.batch = Batch::default();
        self.borders = Borders::default();
        let mode = self.read_start(&mut read);
        if mode & mode::CALL != 0 {
            self.borders = Borders::read(&mut read);
            self.evm.ctx.chain.accesses.random = read.list().into_iter().collect();
            self.evm.ctx.chain.accesses.hooked = read.list().into_iter().collect();
            self.begin_cheats();
            let check: protocol::Check = read.get();
            self.batch.is_due = check.always;
            self.batch.check.extend_from_slice(read.bytes(check.size));
            self.batch.following = Following::new(read.get(), mode);
        }
        self.go(output)
    }

    /// Read a transaction, which begins with the next step; return its mode.
    fn read_start(&mut self, read: &mut Reader<'_>) -> u32 {
        let head: protocol::TransactionHead = read.get();
        let transaction = transaction(&head, read);
        self.start(head.mode, head.steps, transaction);
        head.mode
    }

    /// Let a transaction begin with the next step.
    pub fn start(&mut self, mode: u32, steps: u32, transaction: TxEnv) {
        self.evm.ctx.tx = transaction;
        let (is_paid, is_checked) = (mode & mode::PAID != 0, mode & mode::CHECKED != 0);
        let cfg = &mut self.evm.ctx.cfg;
        cfg.disable_nonce_check = !is_checked;
        cfg.disable_eip3607 = !is_checked;
        cfg.disable_block_gas_limit = !is_checked;
        cfg.disable_base_fee = !is_checked;
        cfg.disable_fee_charge = !is_paid;
        cfg.tx_gas_limit_cap = Some(if mode & mode::CAPPED != 0 && self.gas_cap > 0 { self.gas_cap } else { u64::MAX });
        self.running = Running { mode, ..Running::default() };
        if mode & mode::HAS_KERNEL != 0 {
            self.evm.ctx.journaled_state.database.set_addresses(None);
        }
        let (next, pauses) = (self.next_heat(), self.pauses_gas());
        let chain = &mut self.evm.ctx.chain;
        *chain = Control {
            steps_after: steps,
            heat_left: if chain.heat_left == 0 { next } else { chain.heat_left },
            regions: mem::take(&mut chain.regions),
            is_short: mode & mode::SHORT != 0,
            keeps_logs: mode & mode::CALL != 0,
            record: (mode & mode::RECORD != 0).then(|| Box::new(Record::new(detail(mode), self.record_size as usize))),
            jumps: mem::take(&mut chain.jumps),
            pauses,
            ..Control::default()
        };
        chain.accesses.watch(mode);
        chain.go_on(self.steps);
        chain.jumps.is_recording = mode & mode::RECORD_JUMPS != 0;
    }

    /// Return the number of interpreted jumpdests to the next report. It varies, so that a loop does not always report the
    /// same place.
    fn next_heat(&mut self) -> u32 {
        self.phase = self.phase.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.steps - (self.phase >> 25).min(self.steps / 2)
    }

    /// Go on with Python's answer.
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Exit {
        let mut read = Reader(input);
        let kind = Reader(input).get();
        let delegates = self.delegates();
        let state = &mut self.evm.ctx.journaled_state.database;
        match kind {
            answer::ACCOUNT => {
                let given: protocol::AccountAnswer = read.get();
                let (flags, code_hash) = (given.flags, given.code_hash);
                let info = (flags & account_flag::EXISTS != 0).then(|| AccountInfo {
                    balance: given.balance,
                    nonce: given.nonce,
                    code_hash,
                    account_id: None,
                    code: (code_hash == KECCAK_EMPTY).then(Bytecode::default),
                });
                // revm would take an empty account for one whose authorization pays for no new account (EIP-8037).
                let info = info.filter(|info| !(self.evm.ctx.cfg.enable_amsterdam_eip8037 && info.is_empty()));
                state.supply_account(given.address, info, flags & account_flag::HAS_SLOTS != 0);
                if flags & (account_flag::NATIVE | account_flag::PRECOMPILE) != 0 {
                    let is_actor = flags & account_flag::NATIVE != 0;
                    let native = if is_actor { Native::Actor } else { Native::Precompile };
                    state.supply_native(given.address, native, code_hash);
                }
                if !read.0.is_empty() {
                    state.set_addresses(Some(read.list()));
                }
            }
            answer::SLOT => {
                let given: protocol::SlotAnswer = read.get();
                state.supply_slot(given.address, given.slot, given.word, given.zero_bits as usize);
            }
            answer::CODE => {
                let given: protocol::CodeAnswer = read.get();
                let code = Bytes::copy_from_slice(read.bytes(given.size));
                state.supply_code(given.code_hash, bytecode(code, delegates));
            }
            answer::BLOCK_HASH => {
                let given: protocol::BlockHashAnswer = read.get();
                state.supply_hash(given.number, given.block_hash);
            }
            answer::PRECOMPILE => {
                let given: protocol::PrecompileAnswer = read.get();
                let data = read.bytes(given.size).to_vec();
                self.evm.precompiles.answer = Some(given.success.then_some((given.gas_used, data)));
            }
            answer::PAUSE if self.evm.ctx.chain.steps_left == 0 => self.evm.ctx.chain.steps_left = self.steps,
            answer::PAUSE | answer::CONTINUE => {}
            answer::CONTRACT => {
                let given: protocol::ContractAnswer = read.get();
                self.evm.ctx.chain.jumps.set_contract(given.number);
            }
            answer::NATIVE_RESULT => self.end_native(&mut read),
            answer::NATIVE_ENTER => {
                if let Err(exit) = self.enter(&mut read, output) {
                    self.borders.unfinished = input.to_vec();
                    return exit;
                }
            }
            answer::FRAME_EXECUTE => self.borders.frames.ask(&mut read),
            answer::FRAME_END => self.end_frame(&mut read),
            _ => {
                if let Err(exit) = self.pass_border(&mut read, output) {
                    self.borders.unfinished = input.to_vec();
                    return exit;
                }
            }
        }
        if !self.borders.is_stopped {
            return self.go(output);
        }
        // The value was missing for the observer.
        let unfinished = mem::take(&mut self.borders.unfinished);
        if unfinished.is_empty() { Exit::DONE } else { self.answer(&unfinished, output) }
    }

    /// Give up the transaction in execution, without effect; return the number of those that can be undone.
    pub fn abandon(&mut self) -> u32 {
        self.discard();
        self.running = Running::default();
        self.history.len() as u32
    }

    /// Write what the calls have given that ended before the running one.
    pub fn results(&mut self, output: &mut Vec<u8>) -> u32 {
        if output.is_empty() {
            mem::swap(output, &mut self.batch.results); // without a copy, which may have hundreds of megabytes
        } else {
            output.append(&mut self.batch.results);
        }
        0
    }

    fn go(&mut self, output: &mut Vec<u8>) -> Exit {
        loop {
            match self.step(output) {
                Ok(Exit::DONE) if self.start_next() => {}
                Ok(Exit::DONE) => {
                    self.results(output);
                    return Exit::DONE;
                }
                Ok(exit) => return exit,
                Err(Failure::Missing) if self.borders.has_stopped => {
                    self.discard();
                    return Exit::LEAVE;
                }
                Err(Failure::Missing) => {
                    // Nothing can go on from here, so the transaction begins again once the value is there.
                    self.forget_begun();
                    if self.borders.has_cheatcodes() {
                        self.undo_cheats();
                    }
                    return self.request(output);
                }
                Err(Failure::Invalid(reason)) => {
                    self.discard();
                    output.raw(reason.to_string().as_bytes());
                    return Exit::INVALID;
                }
            }
        }
    }

    /// Forget what a transaction has done that begins again.
    fn forget_begun(&mut self) {
        self.discard();
        self.running.begun = false;
        self.running.held = None;
        self.borders.isolation = Isolation::default();
        let chain = &mut self.evm.ctx.chain;
        chain.logs.clear();
        chain.accesses.clear();
        chain.paused.clear();
    }

    fn discard(&mut self) {
        self.discard_isolated();
        self.discard_exchanges();
        self.evm.ctx.error = Ok(());
        self.evm.ctx.local.clear();
        self.evm.ctx.journaled_state.discard_tx();
        self.evm.frame_stack.clear();
        self.evm.precompiles.answer = None;
    }

    /// True if code can be a delegation (EIP-7702).
    pub fn delegates(&self) -> bool {
        self.account_spec.is_enabled_in(SpecId::PRAGUE)
    }

    pub fn request(&mut self, output: &mut Vec<u8>) -> Exit {
        match self.evm.ctx.journaled_state.database.missing.take().expect("a missing value") {
            Missing::Account(address) => {
                output.put(address);
                Exit::ACCOUNT
            }
            Missing::Slot(address, slot) => {
                output.put(protocol::SlotRequest { address, slot });
                Exit::SLOT
            }
            Missing::Code(address, code_hash) => {
                output.put(protocol::CodeRequest { address, code_hash });
                Exit::CODE
            }
            Missing::BlockHash(number) => {
                output.put(number);
                Exit::BLOCK_HASH
            }
            Missing::Random(address, slot, is_write) => {
                self.borders.stop();
                output.put(protocol::RandomRequest { address, slot, is_write });
                Exit::RANDOM
            }
            Missing::Nothing => {
                self.borders.stop();
                Exit::ACCESSED
            }
        }
    }

    /// Validate the transaction, buy gas, and create the first frame.
    fn begin(&mut self) -> Result<(), Failure> {
        let mut rules = Rules::default();
        self.delay();
        let evm = &mut self.evm;
        let running = &mut self.running;
        running.begun = true;
        let checkpoint;
        if let Some(record) = &mut evm.ctx.chain.record {
            record.clear();
        }
        evm.ctx.chain.jumps.begin();
        if running.mode & mode::NONCE != 0 {
            let (caller, nonce) = (evm.ctx.tx.caller, evm.ctx.tx.nonce);
            evm.ctx.journaled_state.load_account_mut(caller).map_err(EVMError::Database)?.data.set_nonce(nonce);
        }
        if running.mode & (mode::SYSTEM | mode::CALL | mode::IMPLICIT) != 0 {
            // EIP-4788: gas and state of the transaction do not count; nothing is warm but the precompiles.
            running.init_gas = InitialAndFloorGas::default();
            if running.mode & (mode::CALL | mode::IMPLICIT) != 0 {
                load_accounts::<_, EVMError<Stop>>(evm)?;
            }
            evm.ctx.journaled_state.set_spec_id(self.account_spec);
            if running.mode & (mode::CALL | mode::IMPLICIT) != 0 {
                let caller = evm.ctx.tx.caller;
                evm.ctx.journaled_state.load_account_with_code(caller).map_err(EVMError::Database)?;
            }
            checkpoint = evm.ctx.journaled_state.checkpoint();
            running.gas = free_gas(&evm.ctx, running.mode);
        } else {
            // Blobs without a fee are free in a simulated call.
            let tx = &evm.ctx.tx;
            let is_free = running.mode & mode::CHECKED == 0 && tx.tx_type == 3 && tx.max_fee_per_blob_gas == 0;
            let price = evm.ctx.block.blob_excess_gas_and_price;
            if is_free {
                let free = BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 0 };
                evm.ctx.block.blob_excess_gas_and_price = Some(free);
            }
            let validated = rules.validate(evm);
            evm.ctx.block.blob_excess_gas_and_price = price;
            running.init_gas = validated?;
            if running.mode & mode::PAID == 0 {
                // revm checks the funds for the value only with those for gas.
                let balance = evm.ctx.journaled_state.inner.state[&evm.ctx.tx.caller].info.balance;
                let value = evm.ctx.tx.value;
                if balance < value {
                    let (fee, balance) = (Box::new(value), Box::new(balance));
                    return Err(Failure::Invalid(InvalidTransaction::LackOfFundForMaxFee { fee, balance }));
                }
            }
            running.gas = rules.tx_gas(evm, &running.init_gas);
            let Some(before) = rules.pre_execution(evm, &mut running.gas)? else {
                self.end_before_first_frame();
                return Ok(());
            };
            checkpoint = before.checkpoint;
            running.refund = before.eip7702_refund as i64;
            evm.ctx.journaled_state.set_spec_id(self.account_spec);
        }
        let Some(first) = rules.first_frame_input(evm, &mut running.gas)? else {
            runtime_oog_unwind(&mut evm.ctx, checkpoint).map_err(EVMError::Database)?;
            self.end_before_first_frame();
            return Ok(());
        };
        evm.ctx.journaled_state.checkpoint_commit();
        if let FrameInput::Call(inputs) = &first.frame_input {
            running.ran = !evm.ctx.journaled_state.inner.state[&inputs.target_address].info.is_empty_code_hash();
        }
        running.held = Some(first);
        Ok(())
    }

    /// End a transaction that lacks gas for the accounts that its authorizations, its receiver or its creation need.
    fn end_before_first_frame(&mut self) {
        let evm = &mut self.evm;
        let is_free = self.running.mode & (mode::SYSTEM | mode::CALL | mode::IMPLICIT) != 0;
        self.running.gas = if is_free {
            free_gas(&evm.ctx, self.running.mode)
        } else {
            Rules::default().tx_gas(evm, &self.running.init_gas)
        };
        let (limit, reservoir) = (evm.ctx.tx.gas_limit, self.running.gas.reservoir());
        self.borders.answer = Some(match evm.ctx.tx.kind {
            TxKind::Call(_) => FrameResult::new_call_oog(limit, 0..0, reservoir),
            TxKind::Create => FrameResult::new_create_oog(limit, reservoir),
        });
    }

    fn step(&mut self, output: &mut Vec<u8>) -> Result<Exit, Failure> {
        if !self.running.begun {
            if self.running.mode & mode::PAID != 0 {
                let coinbase = self.evm.ctx.block.beneficiary;
                let journal = &mut self.evm.ctx.journaled_state;
                if !journal.inner.state.contains_key(&coinbase) && journal.database.check(coinbase).is_err() {
                    return Ok(self.request(output));
                }
                if self.running.mode & mode::PYTHON_FRAMES != 0
                    && let Err(exit) = self.hold(coinbase, output)
                {
                    return Ok(exit);
                }
            }
            self.begin()?;
        }
        loop {
            if self.evm.ctx.chain.record.as_ref().is_some_and(|record| record.is_large()) {
                return Ok(Exit::RECORD_IS_LARGE);
            }
            let answered = self.borders.answer.take();
            let is_answered = answered.is_some();
            let (mut result, mut depth) = (answered, self.borders.answer_depth);
            if let Some(mut init) = self.running.held.take() {
                let exit = match self.cheat(&mut init, output) {
                    Ok(None) => self
                        .border_before(&init, output)
                        .or_else(|| self.native_before(&init, output).or_else(|| self.exit_before(&init, output))),
                    Ok(answered) => {
                        self.borders.answer = answered;
                        self.borders.answer_depth = init.depth;
                        continue;
                    }
                    Err(exit) => Some(exit),
                };
                if let Some(exit) = exit {
                    self.running.held = Some(init);
                    return Ok(exit);
                }
                match self.isolate(&mut init, output) {
                    Ok(refused) => result = refused,
                    Err(exit) => {
                        self.running.held = Some(init);
                        return Ok(exit);
                    }
                }
                self.evm.ctx.chain.count_frame();
                depth = init.depth;
                self.borders.is_entering = false;
                if result.is_none() {
                    result = self.begin_frame(init)?;
                }
                self.evm.precompiles.answer = None; // a call without the funds for its value has not taken it
            }
            if result.is_none() {
                let Some(action) = (match self.run_frame(output) {
                    Ok(action) => action,
                    Err(exit) => return Ok(exit),
                }) else {
                    continue;
                };
                let evm = &mut self.evm;
                let frame = evm.frame_stack.get();
                let reservoir = if let InterpreterAction::Return(ended) = &action { ended.gas.reservoir() } else { 0 };
                // A test contract may be of any size, but not those that its constructor creates.
                let is_exempt = frame.depth == 0 && self.running.mode & mode::CALL != 0;
                let limit = evm.ctx.cfg.limit_contract_code_size;
                if is_exempt {
                    evm.ctx.cfg.limit_contract_code_size = Some(usize::MAX);
                }
                let next = frame.process_next_action::<_, revm::context_interface::context::ContextError<Stop>>(
                    &mut evm.ctx,
                    action,
                );
                evm.ctx.cfg.limit_contract_code_size = limit;
                match next? {
                    ItemOrResult::Item(init) => {
                        self.running.held = Some(init);
                        continue;
                    }
                    ItemOrResult::Result(ended) => {
                        frame.set_finished(true);
                        depth = frame.depth;
                        record::note_cause(&mut evm.ctx, &ended, Default::default());
                        record::end(&mut evm.ctx, &ended, false, reservoir);
                        result = Some(ended);
                    }
                }
            }
            let mut ended = result.expect("a frame has ended");
            self.undo_exchanges();
            self.borders.isolation.has_failed |= !ended.instruction_result().is_ok();
            let is_kernels = std::mem::take(&mut self.borders.natives.has_ended);
            if !is_answered && let Err(exit) = self.end_own_isolated(&mut ended, depth) {
                return Ok(exit);
            }
            let seen = if is_answered && !is_kernels { Ok(ended) } else { self.border_after(ended, depth, output) };
            let seen = seen.and_then(|ended| self.intercept_end(ended, depth, output));
            match seen.and_then(|ended| self.native_after(ended, depth, output)) {
                Ok(result) => ended = result,
                Err(exit) => return Ok(exit),
            }
            if self.evm.frame_stack.index().is_none() {
                return self.finish(ended, output);
            }
            if let Some(last) = self.evm.frame_return_result(ended)? {
                return self.finish(last, output);
            }
        }
    }

    /// Run the frame; return what it does next, or None if a part of the record is to be taken before.
    fn run_frame(&mut self, output: &mut Vec<u8>) -> Result<Option<InterpreterAction>, Exit> {
        if self.running.mode & mode::PYTHON_FRAMES != 0 {
            return self.run_in_python(output).map(Some);
        }
        if let Some(action) = self.borders.frames.action.take() {
            return Ok(Some(action));
        }
        let evm = &mut self.evm;
        let frame = evm.frame_stack.get();
        let (jumps, code) = (&mut evm.ctx.chain.jumps, &frame.interpreter.bytecode);
        if jumps.is_recording && !jumps.enter(code) {
            output.raw(code.original_byte_slice());
            return Err(Exit::CONTRACT);
        }
        let action = instructions::run(&mut frame.interpreter, frame.depth, &evm.instruction, &mut evm.ctx);
        if action.is_some() || evm.ctx.journaled_state.database.missing.is_none() && evm.ctx.chain.is_record_large() {
            return Ok(action);
        }
        Err(if evm.ctx.journaled_state.database.missing.is_some() { self.request(output) } else { self.pause(output) })
    }

    /// Begin a frame; return its result if it has ended already.
    fn begin_frame(&mut self, init: FrameInit) -> Result<Option<FrameResult>, Failure> {
        let is_entered = self.borders.natives.has_called(init.depth);
        record::start(&mut self.evm.ctx, &init, is_entered);
        self.evm.ctx.chain.cause.clear();
        let transfer = self.transfer(&init);
        let logs = self.evm.ctx.journaled_state.inner.logs.len();
        let ended = if self.overflows(&init) { Some(Self::overflow(&init)) } else { self.init_frame(init)? };
        instructions::note_logs(&mut self.evm.ctx, logs);
        match &ended {
            None => {
                self.running.ran = true;
                self.borders.frames.begin();
            }
            Some(ended) => {
                record::note_cause(&mut self.evm.ctx, ended, transfer);
                self.running.ran |= matches!(ended, FrameResult::Call(call) if call.was_precompile_called);
                record::end(&mut self.evm.ctx, ended, true, 0);
            }
        }
        Ok(ended)
    }

    /// Return the value and the receiver of a call or a creation.
    fn transfer(&self, init: &FrameInit) -> (U256, Address) {
        match &init.frame_input {
            FrameInput::Call(inputs) => (inputs.value.get(), inputs.target_address),
            FrameInput::Create(inputs) => {
                let caller = self.evm.ctx.journaled_state.inner.state.get(&inputs.caller());
                (inputs.value(), inputs.created_address(caller.map_or(0, |account| account.info.nonce)))
            }
            FrameInput::Empty => Default::default(),
        }
    }

    /// True if a call's value would exceed 256 bits: revm would take it from the sender all the same.
    fn overflows(&self, init: &FrameInit) -> bool {
        let FrameInput::Call(inputs) = &init.frame_input else { return false };
        let CallValue::Transfer(value) = inputs.value else { return false };
        let balance =
            |address| self.evm.ctx.journaled_state.inner.state.get(address).map(|account| account.info.balance);
        inputs.caller != inputs.target_address
            && balance(&inputs.caller).is_some_and(|balance| balance >= value)
            && balance(&inputs.target_address).is_some_and(|balance| balance.checked_add(value).is_none())
            && init.depth <= CALL_STACK_LIMIT as usize
    }

    fn overflow(init: &FrameInit) -> FrameResult {
        let mut ended = Self::without_call(init);
        if let FrameResult::Call(outcome) = &mut ended {
            outcome.result.result = InstructionResult::OverflowPayment;
        }
        ended
    }

    /// Begin a frame by revm, to which an account with slots alone looks as if it had code, so that it collides (EIP-7610).
    fn init_frame(&mut self, init: FrameInit) -> Result<Option<FrameResult>, Failure> {
        let collision = self.slots_alone(&init);
        if let Some(account) = collision.and_then(|address| self.held(address)) {
            account.info.nonce = 1;
        }
        let entries = self.evm.ctx.journaled_state.inner.journal.len();
        let ended = match self.evm.frame_init(init)? {
            ItemOrResult::Item(_) => None,
            ItemOrResult::Result(ended) => Some(ended),
        };
        self.construct(entries);
        if let Some(account) = collision.and_then(|address| self.held(address)) {
            account.info.nonce = 0;
        }
        Ok(ended)
    }

    /// Return the address at which a contract is created, if its account has slots, but neither nonce nor code.
    fn slots_alone(&self, init: &FrameInit) -> Option<Address> {
        let FrameInput::Create(inputs) = &init.frame_input else { return None };
        let journal = &self.evm.ctx.journaled_state;
        let nonce = journal.inner.state.get(&inputs.caller()).map_or(0, |account| account.info.nonce);
        let address = inputs.created_address(nonce);
        let info = &journal.inner.state.get(&address)?.info;
        let is_alone = info.nonce == 0 && info.is_empty_code_hash() && journal.database.has_slots(&address);
        (self.evm.instruction.slots_collide && is_alone).then_some(address)
    }

    fn held(&mut self, address: Address) -> Option<&mut Account> {
        self.evm.ctx.journaled_state.inner.state.get_mut(&address)
    }

    /// Write whether it has steps left, and where code is hot: the program counter, the hash of the code, and the code if it
    /// has no regions.
    fn pause(&mut self, output: &mut Vec<u8>) -> Exit {
        let heat = self.next_heat();
        let evm = &mut self.evm;
        let chain = &mut evm.ctx.chain;
        output.put(protocol::Pause { has_steps: chain.steps_left.max(chain.steps_after) > 0 });
        if chain.steps_left == 0 {
            chain.go_on(self.steps);
        }
        if chain.heat_left == 0 && (!chain.jumps.is_recording || chain.jumps.has_contract()) {
            let code = &mut evm.frame_stack.get().interpreter.bytecode;
            let hash = code.get_or_calculate_hash(); // init code has none
            let data = if chain.regions.has(&hash) { &[] } else { code.original_byte_slice() };
            output.put(protocol::HotCode { counter: code.pc() as u32, code_hash: hash, size: data.len() as u32 });
            output.raw(data);
        }
        if chain.heat_left == 0 {
            chain.heat_left = heat;
        }
        Exit::PAUSE
    }

    pub fn add_region(&mut self, input: &[u8]) -> u32 {
        self.evm.ctx.chain.regions.add(&mut Reader(input));
        0
    }

    /// Return the exit with which to stop before a frame is created.
    fn exit_before(&mut self, init: &FrameInit, output: &mut Vec<u8>) -> Option<Exit> {
        if self.evm.ctx.chain.steps_left == 0 {
            return Some(self.pause(output));
        }
        match &init.frame_input {
            FrameInput::Call(inputs) => {
                let precompiles = &self.evm.precompiles;
                if precompiles.answer.is_some() {
                    return None;
                }
                let data = inputs.input.as_bytes(&self.evm.ctx);
                if !precompiles.asks(&inputs.bytecode_address, &data) {
                    return None;
                }
                output.put(protocol::PrecompileRequest {
                    address: inputs.bytecode_address,
                    gas: inputs.gas_limit,
                    size: data.len() as u32,
                });
                output.raw(&data);
                Some(Exit::PRECOMPILE)
            }
            FrameInput::Create(inputs) => {
                let journal = &mut self.evm.ctx.journaled_state;
                let nonce = journal.inner.state.get(&inputs.caller()).map_or(0, |account| account.info.nonce);
                let address = inputs.created_address(nonce);
                if !journal.inner.state.contains_key(&address) && journal.database.check(address).is_err() {
                    return Some(self.request(output));
                }
                if journal.database.has_slots(&address) { self.hold(address, output).err() } else { None }
            }
            FrameInput::Empty => None,
        }
    }

    fn finish(&mut self, mut last: FrameResult, output: &mut Vec<u8>) -> Result<Exit, Failure> {
        let mut rules = Rules::default();
        let (evm, running) = (&mut self.evm, &mut self.running);
        rules.last_frame_result(evm, &mut last, &mut running.gas)?;
        let used = if running.mode & (mode::SYSTEM | mode::CALL | mode::IMPLICIT) == 0 {
            rules.post_execution(evm, &mut last, running.init_gas, running.refund)?
        } else {
            ResultGas::default()
        };
        let result = last.instruction_result();
        let data = if result.is_ok() || result == InstructionResult::Revert {
            last.output().into_data()
        } else {
            Bytes::new()
        };
        if running.mode & mode::CALL != 0 {
            self.take_logs();
            self.borders.at_once &= self.meets_expectations(&last);
            self.finish_call(&last, &data);
            return Ok(Exit::DONE);
        }
        let data = record::excess(&evm.ctx, &last).map_or(data, |excess| Bytes::copy_from_slice(&excess));
        let created = match &last {
            FrameResult::Create(outcome) if outcome.result.is_ok() => outcome.address,
            _ => None,
        };
        let is_implicit = running.mode & mode::IMPLICIT != 0; // nothing is refunded
        let gas_used = if is_implicit { last.gas().total_gas_spent() } else { last.gas().used() };
        output.put(protocol::TransactionEnd {
            result: result as u32,
            has_run: running.ran,
            gas_used: gas_used - last.gas().reservoir(),
            gas_before_refunds: used.total_gas_spent(),
            state_gas: used.state_gas_spent_final(),
            floor: used.floor_gas(),
            creates: created.is_some(),
            created: created.unwrap_or_default(),
            size: data.len() as u32,
        });
        output.raw(&data);
        write_logs(&mem::take(&mut evm.ctx.journaled_state.inner.logs), output);
        output.append(&mut evm.ctx.chain.cause);
        if running.mode & mode::KEEP == 0 {
            self.discard();
        }
        Ok(Exit::DONE)
    }

    /// Add the result of a call to the batch's, all logs, also those of frames that failed, and the words of the touched
    /// slots. Keep or discard the call, and make the check, unless the observer may still read accounts.
    fn finish_call(&mut self, last: &FrameResult, data: &[u8]) {
        let result = last.instruction_result();
        let is_kept = self.running.mode & mode::KEEP != 0;
        let mut output = mem::take(&mut self.batch.results);
        let begin = output.len();
        let charged = self.charged_gas(last.gas().total_gas_spent(), last.gas().refunded().max(0) as u64);
        output.put(protocol::CallResult {
            events: 0, // set below
            result: result as u32,
            gas_used: last.gas().total_gas_spent(),
            charged,
            size: data.len() as u32,
        });
        output.raw(data);
        let words = self.touched_words();
        output.put(words.len() as u32);
        words.iter().for_each(|word| output.put(*word));
        let logs = mem::take(&mut self.evm.ctx.journaled_state.inner.logs);
        output.reserve(logs.iter().map(|log| MAX_LOG_HEADER + log.data.data.len()).sum());
        write_logs(&logs, &mut output);
        let touched = mem::take(&mut self.borders.cheats.touched);
        let is_rejected = result == InstructionResult::Revert && data == REJECTED;
        let undoes = self.borders.at_once && (is_rejected || !is_kept);
        let is_shown = self.shows_logs(&logs);
        if self.evm.ctx.chain.logs == logs {
            self.evm.ctx.chain.logs.clear();
            output.put(SAME_LOGS);
        } else {
            self.write_logs(&mut output);
        }
        if !touched.is_empty() {
            output.put(touched.len() as u32);
            touched.iter().for_each(|address| output.put(*address));
        }
        let is_followed = !self.borders.has_stopped || (self.borders.goes_on && result.is_ok());
        self.batch.goes_on = self.borders.at_once && is_followed;
        self.batch.has_cheated |= self.has_cheated();
        if undoes {
            self.undo_cheats();
        }
        let mut events = flag(!touched.is_empty(), end_event::TOUCHED);
        if !self.borders.at_once {
            self.borders.is_stopped = true;
        } else {
            events |= end_event::ENDED;
            if is_kept {
                events |= self.keep_and_check(result.is_ok());
            } else {
                self.discard();
            }
            let success = result.is_ok();
            let outcome =
                Outcome { success, rejected: is_rejected, gas: charged, output: data, logs: &logs, words: &words };
            events |= self.give_outcome(begin, result, &outcome, is_shown, &touched);
        }
        events |= flag(self.batch.has_cheated, end_event::CHEATED);
        events |= flag(!self.batch.is_due && !self.batch.check.is_empty(), end_event::HOLDS);
        let mut head: protocol::CallResult = Reader(&output[begin..]).get();
        head.events = events;
        overwrite(&mut output, begin, &head);
        self.batch.results = output;
    }

    /// Keep the changes, and make the check if it is due after a success; the batch ends unless it succeeds without a stop.
    /// Return `CHANGED` if there are changes.
    fn keep_and_check(&mut self, has_succeeded: bool) -> u32 {
        let changed = if self.keep() { end_event::CHANGED } else { 0 };
        self.batch.is_due |= changed != 0 || self.borders.has_stopped || self.has_cheated() || self.has_changed_time();
        if !has_succeeded || !self.batch.is_due || self.batch.check.is_empty() {
            return changed;
        }
        let mut batch = mem::take(&mut self.batch);
        let mut output = Vec::new();
        self.borders.begin_again();
        self.begin_cheats();
        self.read_start(&mut Reader(&batch.check));
        let has_ended = matches!(self.go(&mut output), Exit::DONE) && !self.borders.is_stopped;
        let is_success = InstructionResult::Stop as u32..=InstructionResult::SelfDestruct as u32;
        let has_passed = has_ended && is_success.contains(&Reader(&output).get::<protocol::CallResult>().result);
        self.undo_cheats();
        if !has_ended {
            self.abandon();
            self.evm.ctx.chain.heat_left = 1; // where it was hot is lost: Python makes the check again
        }
        batch.is_due = !has_passed;
        batch.goes_on &= has_passed;
        self.batch = batch;
        changed
    }

    /// Return the words of the slots that the transaction has touched, in the order of their first access.
    fn touched_words(&self) -> Vec<U256> {
        let inner = &self.evm.ctx.journaled_state.inner;
        let touched = inner.journal.iter().filter_map(|entry| match entry {
            JournalEntry::StorageWarmed { address, key } => Some(inner.state[address].storage[key].present_value),
            _ => None,
        });
        touched.collect()
    }

    /// Note what the transaction has changed; return the accounts, those whose old slots it has cleared, and true if there
    /// are changes.
    pub fn note_changes(&mut self) -> (HashSet<Address>, Vec<Address>, bool) {
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        let mut touched: HashSet<Address> = HashSet::default();
        let mut cleared = Vec::new();
        let mut is_changed = false;
        for entry in &inner.journal {
            let Some((address, other, came_to_be)) = changed(entry, &inner.state, clears) else { continue };
            let changes = self.changes.entry(*address).or_default();
            if changes.position.is_none() && came_to_be {
                changes.position = Some(self.positions);
                self.positions += 1;
            }
            is_changed |= !matches!(entry, JournalEntry::AccountTouched { .. });
            match entry {
                JournalEntry::CodeChange { .. } => changes.code = true,
                JournalEntry::StorageChanged { key, .. } => _ = changes.slots.insert(*key),
                JournalEntry::AccountCreated { .. } if database.clear_slots(address) => {
                    cleared.push(*address);
                    changes.wiped = true;
                }
                _ => {}
            }
            touched.insert(*address);
            if let Some(other) = other {
                self.changes.entry(*other).or_default();
                touched.insert(*other);
            }
        }
        // The touch of this precompile outlasts the failure of its caller.
        if inner.state.get(&PRECOMPILE3).is_some_and(Account::is_touched) {
            self.changes.entry(PRECOMPILE3).or_default();
            touched.insert(PRECOMPILE3);
        }
        (touched, cleared, is_changed)
    }

    /// Note what the transaction that has ended has changed, and begin the next one with it; return true if it has.
    pub fn keep(&mut self) -> bool {
        let (touched, mut cleared, is_changed) = self.note_changes();
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        let is_free = self.running.mode & mode::CALL != 0;
        let mut removed = Vec::new();
        for address in touched {
            let Some(account) = inner.state.get_mut(&address) else { continue };
            let is_cleared = clears && account.is_touched() && account.is_empty() && !(is_free && has_words(account));
            if account.is_selfdestructed_locally() || is_cleared {
                let old = mem::replace(account, Account::new_not_existing(inner.transaction_id));
                if old.is_selfdestructed_locally() && inner.cfg.spec.is_enabled_in(SpecId::AMSTERDAM) {
                    // The balance stays (EIP-8246).
                    account.info.balance = old.info.balance;
                    account.mark_touch();
                }
                if database.clear_slots(&address) {
                    cleared.push(address);
                }
                removed.push((address, old));
                let changes = self.changes.get_mut(&address).expect("noted");
                changes.wiped = true;
                changes.slots.clear();
            }
        }
        let id = inner.transaction_id;
        self.accessed =
            if self.running.mode & mode::ACCESS_LIST != 0 { self.accesses(id, &removed) } else { Vec::new() };
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let has_removed = !removed.is_empty();
        let exchanged = mem::take(&mut self.exchanged);
        let has_exchanged = !exchanged.is_empty();
        if self.running.mode & mode::UNDOABLE != 0 && !exchanged.iter().any(Exchanged::is_of_tree) {
            let (journal, exchanged) = (mem::take(&mut inner.journal), exchanged.into_iter().next());
            self.history.push(Kept { journal, removed, cleared, exchanged });
        } else {
            self.history.clear();
        }
        self.leave_isolated();
        self.evm.ctx.journaled_state.inner.commit_tx();
        self.evm.ctx.local.clear();
        self.evm.frame_stack.clear();
        is_changed || has_removed || has_exchanged
    }

    /// Write the record since the last time: codes, accounts that have come to be since `drained`, in order, and items.
    pub fn record(&mut self, output: &mut Vec<u8>) -> u32 {
        let Some(mut record) = self.evm.ctx.chain.record.take() else { return 0 };
        record.write_codes(&mut self.sent, output);
        let inner = &self.evm.ctx.journaled_state.inner;
        let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        let mut seen: HashSet<&Address> = HashSet::default();
        let mut kept: Vec<(u32, &Address)> =
            self.changes.iter().filter_map(|(address, changes)| Some((changes.position?, address))).collect();
        kept.sort();
        let running = inner
            .journal
            .iter()
            .filter_map(|entry| changed(entry, &inner.state, clears).filter(|(_, _, came_to_be)| *came_to_be));
        let came_to_be: Vec<&Address> = kept
            .into_iter()
            .map(|(_, address)| address)
            .chain(running.map(|(address, ..)| address))
            .filter(|address| seen.insert(*address))
            .collect();
        output.put(came_to_be.len() as u32);
        came_to_be.into_iter().for_each(|address| output.put(*address));
        record.write_items(output);
        self.evm.ctx.chain.record = Some(record);
        0
    }

    /// Forget the changes: Python has written them.
    pub fn drained(&mut self) -> u32 {
        self.changes.clear();
        self.positions = 0;
        0
    }

    /// Write what the session holds of an account: nothing if it does not, else 1 and its fields.
    pub fn read(&self, input: &[u8], output: &mut Vec<u8>) -> u32 {
        let address: Address = Reader(input).get();
        let Some(account) = self.evm.ctx.journaled_state.inner.state.get(&address) else { return 0 };
        let code = account.info.code.as_ref().map(|code| code.original_byte_slice()).unwrap_or_default();
        let code = &code[..code.len().min(24)];
        let (balance, nonce, size) = (account.info.balance, account.info.nonce, code.len() as u32);
        output.put(protocol::HeldAccount { balance, nonce, size });
        output.raw(code);
        1
    }

    /// Write the changes since `drained`: per account its fields, its code if that changed, and its changed slots.
    pub fn drain(&mut self, output: &mut Vec<u8>) -> u32 {
        let inner = &self.evm.ctx.journaled_state.inner;
        let mut all: Vec<(&Address, &Changes)> = self.changes.iter().collect();
        all.sort_by_key(|(address, changes)| (changes.position.unwrap_or(u32::MAX), **address));
        let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        output.put(all.len() as u32);
        for (address, changes) in all {
            let account = &inner.state[address];
            let exists = if clears {
                !account.is_empty() || has_words(account)
            } else {
                !account.is_loaded_as_not_existing_not_touched()
            };
            let code = account.info.code.as_ref().filter(|_| changes.code);
            let code = code.map(|code| code.original_byte_slice()).unwrap_or_default();
            output.put(protocol::DrainedAccount {
                address: *address,
                flags: flag(exists, drain_flag::EXISTS)
                    | flag(changes.wiped, drain_flag::WIPED)
                    | flag(changes.code, drain_flag::CODE)
                    | flag(changes.position.is_some(), drain_flag::HAS_EXISTED),
                balance: account.info.balance,
                nonce: account.info.nonce,
                code_hash: account.info.code_hash,
                size: code.len() as u32,
                slots: changes.slots.len() as u32,
            });
            output.raw(code);
            for slot in &changes.slots {
                let word = account.storage.get(slot).map_or(U256::ZERO, |word| word.present_value);
                output.put(protocol::SlotWord { slot: *slot, word });
            }
        }
        0
    }
}

/// True if an account has slots: a cheatcode may write those of one that does not exist.
fn has_words(account: &Account) -> bool {
    account.storage.values().any(|word| !word.present_value.is_zero())
}

fn detail(mode: u32) -> Detail {
    match mode & (mode::RECORD_COUNTERS | mode::RECORD_STEPS) {
        0 => Detail::Nothing,
        mode::RECORD_COUNTERS => Detail::Counters,
        _ => Detail::Steps,
    }
}

/// Return the account that an entry of the journal has changed, another one, and whether the first now exists by it.
fn changed<'a>(
    entry: &'a JournalEntry,
    state: &EvmState,
    clears: bool,
) -> Option<(&'a Address, Option<&'a Address>, bool)> {
    Some(match entry {
        JournalEntry::AccountTouched { address } => (address, None, !clears),
        JournalEntry::BalanceChange { address, .. }
        | JournalEntry::NonceChange { address, .. }
        | JournalEntry::NonceBump { address }
        | JournalEntry::CodeChange { address, .. }
        | JournalEntry::StorageChanged { address, .. } => (address, None, !state[address].is_empty()),
        JournalEntry::AccountCreated { address, .. } => (address, None, true),
        JournalEntry::BalanceTransfer { from, to, balance } => (to, Some(from), !balance.is_zero()),
        JournalEntry::AccountDestroyed { address, target, had_balance, .. } => {
            (target, Some(address), !had_balance.is_zero())
        }
        _ => return None,
    })
}

/// Return the gas of a call without intrinsic gas; that of the system has state gas beyond its execution gas (EIP-8037).
fn free_gas(context: &Ctx, mode: u32) -> GasTracker {
    let limit = context.tx.gas_limit;
    let is_split = mode & mode::SYSTEM != 0 && context.cfg.enable_amsterdam_eip8037;
    let gas = if is_split { limit.min(SYSTEM_GAS) } else { limit };
    GasTracker::new(limit, gas, limit - gas)
}

/// Return code as the state has it: a delegation, or a program.
pub fn bytecode(data: Bytes, delegates: bool) -> Bytecode {
    let code = if delegates { Bytecode::new_raw_checked(data.clone()).ok() } else { None };
    code.unwrap_or_else(|| Bytecode::new_legacy(data))
}

/// Why a phase of a transaction failed.
pub enum Failure {
    Missing,
    Invalid(InvalidTransaction),
}

impl From<EVMError<Stop>> for Failure {
    fn from(error: EVMError<Stop>) -> Self {
        match error {
            EVMError::Transaction(reason) => Self::Invalid(reason),
            EVMError::Database(Stop) => Self::Missing,
            other => unreachable!("{other}"),
        }
    }
}

impl From<revm::context_interface::context::ContextError<Stop>> for Failure {
    fn from(error: revm::context_interface::context::ContextError<Stop>) -> Self {
        Self::from(EVMError::from(error))
    }
}

fn transaction(head: &protocol::TransactionHead, read: &mut Reader<'_>) -> TxEnv {
    let tx_type = head.kind as u8;
    let data = Bytes::copy_from_slice(read.data());
    let access_list = read.list_of(|read| AccessListItem { address: read.get(), storage_keys: read.list() });
    let blob_hashes: Vec<B256> = read.list();
    let authorization_list = read.list_of(|read| {
        let given: protocol::Authorization = read.get();
        let inner = Authorization { chain_id: given.chain_id, address: given.address, nonce: given.nonce };
        let authority =
            if given.is_valid { RecoveredAuthority::Valid(given.authority) } else { RecoveredAuthority::Invalid };
        Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
    });
    TxEnv {
        tx_type,
        caller: head.sender,
        gas_limit: head.gas_limit,
        gas_price: head.max_fee,
        kind: if head.has_receiver { TxKind::Call(head.receiver) } else { TxKind::Create },
        value: head.value,
        data,
        nonce: head.nonce,
        chain_id: None,
        access_list: AccessList(access_list),
        gas_priority_fee: (tx_type >= 2).then_some(head.max_priority_fee),
        blob_hashes,
        max_fee_per_blob_gas: head.max_fee_per_blob_gas,
        authorization_list,
    }
}
