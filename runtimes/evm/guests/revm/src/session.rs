//! The session's state, and the phases of a transaction: revm's handler, with a loop of frames that stops and goes on.

use crate::borders::Borders;
use crate::cheats::Cheats;
use crate::database::{Missing, State, Stop};
use crate::exchange::Exchanged;
use crate::forks::{self, Instructions};
use crate::instructions::{self, Control};
use crate::isolation::Isolation;
use crate::native::Native;
use crate::precompiles::Precompiles;
use crate::record::{self, Detail, Record};
use crate::wire::{Reader, Write};
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
use revm::interpreter::{
    CallValue, FrameInput, GasTracker, InitialAndFloorGas, InstructionResult, InterpreterAction,
};
use revm::primitives::constants::CALL_STACK_LIMIT;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, B256, Bytes, HashMap, HashSet, KECCAK_EMPTY, TxKind, U256};
use revm::state::{Account, AccountInfo, Bytecode, EvmState};
use std::mem;

pub type Ctx = Context<BlockEnv, TxEnv, CfgEnv, State, Journal<State>, Control, LocalContext>;
pub type Frames = EthFrame<EthInterpreter>;
type Machine = Evm<Ctx, (), Instructions, Precompiles, Frames>;
type Rules = MainnetHandler<Machine, EVMError<Stop>, Frames>;

/// Why `transact` and `answer` return.
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum Exit {
    Done = 0,
    Account = 1,
    Slot = 2,
    Code = 3,
    BlockHash = 4,
    Precompile = 5,
    /// The execution takes long: its code may be worth compiling.
    Pause = 6,
    /// The transaction is invalid; nothing has changed.
    Invalid = 7,
    /// The guest cannot execute this; nothing has changed.
    Leave = 8,
    /// A call at which the observer wants to stop.
    Call = 9,
    /// A call that the observer has entered has ended.
    Ended = 10,
    /// Another call has ended whose end the observer wants to see.
    CallEnd = 11,
    /// A call that the kernel runs.
    Native = 12,
    /// A contract that a native actor has called has ended.
    NativeEnd = 13,
    /// A part of the record for the tracer.
    Record = 14,
    /// A frame that Python runs.
    Frame = 15,
    /// A slot that has a random word is about to be accessed.
    Random = 24,
    /// A slot was accessed that has a hook.
    Accessed = 25,
}

pub mod mode {
    /// Keep the changes, to be drained.
    pub const KEEP: u32 = 1;
    /// The sender pays for gas, and its nonce and code are checked.
    pub const CHECKED: u32 = 2;
    /// The sender pays for gas.
    pub const PAID: u32 = 4;
    /// A call of the system: nothing is warm, checked or paid.
    pub const SYSTEM: u32 = 8;
    /// The fork's cap of a transaction's gas holds.
    pub const CAPPED: u32 = 16;
    /// The transaction can be undone.
    pub const UNDOABLE: u32 = 32;
    /// The thread has other work (`Control::is_short`).
    pub const SHORT: u32 = 64;
    /// A call outside of transactions: nothing is checked or paid; sender, receiver and coinbase are warm.
    pub const CALL: u32 = 128;
    /// Accesses are listed at the end (`Session::accesses`).
    pub const ACCESSES: u32 = 256;
    /// Record the calls for a tracer.
    pub const RECORD: u32 = 512;
    /// Record the program counters of instructions, too.
    pub const COUNTERS: u32 = 1024;
    /// Executed jump destinations are recorded.
    pub const JUMPS: u32 = 2048;
    /// Accesses to slots are recorded; frames use no gas (`operation::WATCH`).
    pub const RECORDS: u32 = 4096;
    pub const PAUSES: u32 = 8192;
    /// Calls of the first frame are transactions, in which contracts see the gas price and the base fee, or 0.
    pub const ISOLATES: u32 = 1 << 14;
    pub const SHOWS_PRICE: u32 = 1 << 15;
    pub const SHOWS_BASE_FEE: u32 = 1 << 16;
    /// A call outside of transactions, whose sender, receiver and coinbase are warm.
    pub const IMPLICIT: u32 = 1 << 17;
    /// The sender's nonce becomes that of the transaction.
    pub const NONCE: u32 = 1 << 18;
    /// The kernel makes the first call.
    pub const FIRST: u32 = 1 << 19;
    /// Record instructions with their gas, stack and memory.
    pub const STEPS: u32 = 1 << 20;
    /// Python runs the frames.
    pub const FRAMES: u32 = 1 << 21;
    /// The kernel runs all calls, so that an interceptor sees them.
    pub const INTERCEPTS: u32 = 1 << 22;
    /// Hashes, and accesses to accounts, are recorded too.
    pub const RECORDS_ALL: u32 = 1 << 24;
    /// What cheatcodes change within a call (`operation::WATCH`).
    pub const WATCH: u32 = RECORDS | PAUSES | ISOLATES | SHOWS_PRICE | SHOWS_BASE_FEE | RECORDS_ALL;
}

/// What has happened at the end of a call.
mod at_once {
    /// It was kept or discarded.
    pub const ENDED: u32 = 1;
    pub const CHANGED: u32 = 2;
    /// The call that follows it has succeeded.
    pub const PASSED: u32 = 4;
    /// Accounts exist after it that cheatcodes have named.
    pub const TOUCHED: u32 = 8;
}

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
    /// The messages of the calls, and the position of the next one.
    messages: Vec<u8>,
    next: usize,
    /// The call without effect after each one that succeeds; empty for none.
    check: Vec<u8>,
    /// The state may have changed since the check last succeeded.
    is_due: bool,
    goes_on: bool,
    /// What calls that have ended have given, as far as Python has not read it; the number of those that others follow.
    results: Vec<u8>,
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
    pub batch: Batch,
    pub changes: HashMap<Address, Changes>,
    pub positions: u32,
    pub exchanged: Vec<Exchanged>,
    /// Slots with original words from before the newest exchange.
    pub originals: Vec<(Address, U256, U256)>,
    /// Accounts that the transaction has created or destroyed before the newest exchange.
    pub statuses: Vec<(Address, u32)>,
    history: Vec<Kept>,
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
            batch: Batch::default(),
            changes: HashMap::default(),
            positions: 0,
            exchanged: Vec::new(),
            originals: Vec::new(),
            statuses: Vec::new(),
            history: Vec::new(),
            sent: HashSet::default(),
            accessed: Vec::new(),
        }
    }
}

/// Execution gas of a call of the system.
const SYSTEM_GAS: u64 = 30_000_000;
const NO_LIMIT: u32 = u32::MAX;
/// Bytes of a log beside its data: address, four topics, and two lengths.
const MAX_LOG_HEADER: usize = 20 + 4 * 32 + 2 * 4;
/// Instead of the logs since the last border: they are those of the call, which come before.
const SAME_LOGS: u32 = u32::MAX;
const PRECOMPILE3: Address = revm::primitives::PRECOMPILE3;

impl Session {
    /// Forget the state, as if nothing had been supplied. Changes that were not drained are lost.
    pub fn reset(&mut self) -> u32 {
        self.evm.ctx.journaled_state.inner.finalize();
        self.evm.ctx.journaled_state.database.reset();
        self.changes.clear();
        self.positions = 0;
        self.history.clear();
        self.sent.clear();
        let chain = &mut self.evm.ctx.chain;
        chain.jumps = Default::default();
        chain.heat_left = 0; // it begins anew, so that what a session does depends on nothing before it
        0
    }

    /// Undo transactions until this number of them is left. Changes that were not drained are forgotten.
    pub fn undo(&mut self, input: &[u8]) -> u32 {
        let left = Reader(input).u32() as usize;
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        for kept in self.history.drain(left..).rev() {
            kept.cleared.into_iter().for_each(|address| database.restore_slots(address));
            for (address, account) in kept.removed.into_iter().rev() {
                inner.state.insert(address, account);
            }
            for entry in kept.journal.into_iter().rev() {
                entry.revert(&mut inner.state, None, clears);
            }
        }
        inner.transaction_id.increment();
        self.changes.clear();
        self.positions = 0;
        0
    }

    pub fn set_rules(&mut self, input: &[u8]) -> u32 {
        let mut read = Reader(input);
        let fork = read.data();
        let account_spec = SpecId::try_from_u8(read.u32() as u8).expect("a fork of revm");
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
        cfg.chain_id = read.u64();
        cfg.memory_limit = read.u64();
        let code = read.u32();
        let init_code = read.u32();
        cfg.limit_contract_code_size = Some(if code == NO_LIMIT { usize::MAX } else { code as usize });
        cfg.limit_contract_initcode_size = Some(if init_code == NO_LIMIT { usize::MAX } else { init_code as usize });
        cfg.max_blobs_per_tx = Some(read.u64());
        self.gas_cap = read.u64();
        self.steps = read.u32();
        self.record_size = read.u32();
        let (precompiles, of_kernel) = (read.list(|read| read.address()), read.list(|read| read.address()));
        self.evm.precompiles.set(spec, precompiles, of_kernel);
        0
    }

    pub fn set_block(&mut self, input: &[u8]) -> u32 {
        let mut read = Reader(input);
        let ctx = &mut self.evm.ctx;
        ctx.journaled_state.database.forget_hashes();
        let block = &mut ctx.block;
        block.number = read.word();
        block.timestamp = read.word();
        block.gas_limit = read.u64();
        block.basefee = read.u64();
        let blob_gasprice = read.u128();
        block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice });
        block.beneficiary = read.address();
        let randomness = read.hash();
        block.prevrandao = Some(randomness);
        block.difficulty = U256::from_be_bytes(randomness.0);
        block.slot_num = read.u64();
        0
    }

    // --- a transaction ------------------------------------------------------------------------------------------

    pub fn transact(&mut self, input: &[u8], output: &mut Vec<u8>) -> Exit {
        let mut read = Reader(input);
        self.batch = Batch::default();
        self.borders = Borders::default();
        let mode = self.start(&mut read);
        if mode & mode::CALL != 0 {
            self.borders = Borders::read(&mut read);
            self.evm.ctx.chain.accesses.random = read.list(|read| read.address()).into_iter().collect();
            self.evm.ctx.chain.accesses.hooked = read.list(|read| read.address()).into_iter().collect();
            self.borders.cheats.are_off = mode & mode::JUMPS != 0;
            self.batch.is_due = read.u32() != 0;
            self.batch.check.extend_from_slice(read.data());
            self.batch.messages.extend_from_slice(read.0);
        }
        self.go(output)
    }

    /// Read a transaction, which begins with the next step; return its mode.
    fn start(&mut self, read: &mut Reader<'_>) -> u32 {
        let mode = read.u32();
        let steps = read.u32();
        self.evm.ctx.tx = transaction(read);
        let (is_paid, is_checked) = (mode & mode::PAID != 0, mode & mode::CHECKED != 0);
        let cfg = &mut self.evm.ctx.cfg;
        cfg.disable_nonce_check = !is_checked;
        cfg.disable_eip3607 = !is_checked;
        cfg.disable_block_gas_limit = !is_checked;
        cfg.disable_base_fee = !is_checked;
        cfg.disable_fee_charge = !is_paid;
        cfg.tx_gas_limit_cap = Some(if mode & mode::CAPPED != 0 && self.gas_cap > 0 { self.gas_cap } else { u64::MAX });
        self.running = Running { mode, ..Running::default() };
        let next = self.next_heat();
        let chain = &mut self.evm.ctx.chain;
        *chain = Control {
            steps_after: steps,
            heat_left: if chain.heat_left == 0 { next } else { chain.heat_left },
            regions: mem::take(&mut chain.regions),
            is_short: mode & mode::SHORT != 0,
            keeps_logs: mode & mode::CALL != 0,
            record: (mode & mode::RECORD != 0).then(|| Box::new(Record::new(detail(mode), self.record_size as usize))),
            jumps: mem::take(&mut chain.jumps),
            pauses: mode & mode::PAUSES != 0,
            ..Control::default()
        };
        chain.accesses.watch(mode);
        chain.go_on(self.steps);
        chain.jumps.is_recording = mode & mode::JUMPS != 0;
        mode
    }

    /// Return the number of interpreted jumpdests to the next report. It varies, so that a loop does not always report the
    /// same place.
    fn next_heat(&mut self) -> u32 {
        self.phase = self.phase.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.steps - (self.phase >> 25).min(self.steps / 2)
    }

    /// Start the next call of the batch; return false if there is none, or the last one has stopped.
    fn start_next(&mut self) -> bool {
        let mut messages = Reader(&self.batch.messages[self.batch.next..]);
        if !self.batch.goes_on || messages.0.is_empty() {
            return false;
        }
        let message = messages.data().to_vec();
        self.batch.next += 4 + message.len();
        self.batch.ended += 1;
        self.borders.begin_again(Cheats::default());
        self.start(&mut Reader(&message));
        true
    }

    /// Go on with Python's answer.
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Exit {
        let mut read = Reader(input);
        let kind = read.u32();
        let delegates = self.delegates();
        let state = &mut self.evm.ctx.journaled_state.database;
        match kind {
            1 => {
                let address = read.address();
                let flags = read.u32();
                let info = (flags & 1 != 0).then(|| {
                    let (balance, nonce, code_hash) = (read.word(), read.u64(), read.hash());
                    AccountInfo { balance, nonce, code_hash, account_id: None, code: None }
                });
                let code_hash = info.as_ref().map_or(KECCAK_EMPTY, |info| info.code_hash);
                let info = info.map(|mut info| {
                    if info.code_hash == KECCAK_EMPTY {
                        info.code = Some(Bytecode::default());
                    }
                    info
                });
                // revm would take an empty account for one whose authorization pays for no new account (EIP-8037).
                let info = info.filter(|info| !(self.evm.ctx.cfg.enable_amsterdam_eip8037 && info.is_empty()));
                state.supply_account(address, info, flags & 2 != 0);
                if flags & 12 != 0 {
                    let native = if flags & 4 != 0 { Native::Actor } else { Native::Precompile };
                    state.supply_native(address, native, code_hash);
                }
            }
            2 => {
                let (address, slot, value, bits) = (read.address(), read.word(), read.word(), read.u32());
                state.supply_slot(address, slot, value, bits as usize);
            }
            3 => {
                let hash = read.hash();
                state.supply_code(hash, bytecode(Bytes::copy_from_slice(read.data()), delegates));
            }
            4 => state.supply_hash(read.u64(), read.hash()),
            5 => {
                let succeeded = read.u32() != 0;
                let used = read.u64();
                let data = read.data().to_vec();
                self.evm.precompiles.answer = Some(succeeded.then_some((used, data)));
            }
            6 if self.evm.ctx.chain.steps_left == 0 => self.evm.ctx.chain.steps_left = self.steps,
            6 | 14 | 15 => {}
            19 => self.end_native(&mut read),
            20 => {
                if let Err(exit) = self.enter(&mut read, output) {
                    self.borders.unfinished = input.to_vec();
                    return exit;
                }
            }
            21 => self.borders.frames.ask(&mut read),
            22 => self.end_frame(&mut read),
            _ => {
                if let Err(exit) = self.pass_border(kind, &mut read, output) {
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
        if unfinished.is_empty() { Exit::Done } else { self.answer(&unfinished, output) }
    }

    /// Write the executed jump destinations since the last time.
    pub fn take_jumps(&mut self, output: &mut Vec<u8>) -> u32 {
        self.evm.ctx.chain.jumps.take(output);
        0
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
                Ok(Exit::Done) if self.start_next() => {}
                Ok(Exit::Done) => {
                    self.results(output);
                    return Exit::Done;
                }
                Ok(exit) => return exit,
                Err(Failure::Again) => {
                    self.forget_begun();
                    self.borders.begin_again(Cheats { are_off: true, ..Cheats::default() });
                }
                Err(Failure::Missing) if self.borders.has_stopped => {
                    self.discard();
                    return Exit::Leave;
                }
                Err(Failure::Missing) => {
                    // Nothing can go on from here, so the transaction begins again once the value is there.
                    self.forget_begun();
                    self.borders.cheats = Cheats { are_off: self.borders.cheats.are_off, ..Cheats::default() };
                    return self.request(output);
                }
                Err(Failure::Invalid(reason)) => {
                    self.discard();
                    output.raw(reason.to_string().as_bytes());
                    return Exit::Invalid;
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
                output.raw(address.as_slice());
                Exit::Account
            }
            Missing::Slot(address, slot) => {
                output.raw(address.as_slice());
                output.word(slot);
                Exit::Slot
            }
            Missing::Code(address, hash) => {
                output.raw(address.as_slice());
                output.raw(hash.as_slice());
                Exit::Code
            }
            Missing::BlockHash(number) => {
                output.u64(number);
                Exit::BlockHash
            }
            Missing::Random(address, slot, is_write) => {
                self.borders.stop();
                output.raw(address.as_slice());
                output.word(slot);
                output.u32(is_write as u32);
                Exit::Random
            }
            Missing::Nothing => {
                self.borders.stop();
                Exit::Accessed
            }
        }
    }

    /// Validate the transaction, buy gas, and create the first frame.
    fn begin(&mut self) -> Result<(), Failure> {
        let mut rules = Rules::default();
        let evm = &mut self.evm;
        let running = &mut self.running;
        running.begun = true;
        let checkpoint;
        if let Some(record) = &mut evm.ctx.chain.record {
            record.clear();
        }
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
                if self.running.mode & mode::FRAMES != 0
                    && let Err(exit) = self.hold(coinbase, output)
                {
                    return Ok(exit);
                }
            }
            self.begin()?;
        }
        loop {
            if self.evm.ctx.chain.record.as_ref().is_some_and(|record| record.is_large()) {
                return Ok(Exit::Record);
            }
            let answered = self.borders.answer.take();
            let is_answered = answered.is_some();
            let (mut result, mut depth) = (answered, self.borders.answer_depth);
            if let Some(mut init) = self.running.held.take() {
                let exit = match self.cheat(&mut init, output) {
                    Ok(None) => self.border_before(&init, output)?.or_else(|| {
                        self.native_before(&init, output).or_else(|| self.exit_before(&init, output))
                    }),
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
        if self.running.mode & mode::FRAMES != 0 {
            return self.run_in_python(output).map(Some);
        }
        if let Some(action) = self.borders.frames.action.take() {
            return Ok(Some(action));
        }
        let evm = &mut self.evm;
        let frame = evm.frame_stack.get();
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
        let balance = |address| self.evm.ctx.journaled_state.inner.state.get(address).map(|account| account.info.balance);
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
        output.u32((chain.steps_left.max(chain.steps_after) > 0) as u32);
        if chain.steps_left == 0 {
            chain.go_on(self.steps);
        }
        if chain.heat_left == 0 && !chain.jumps.is_recording {
            let code = &mut evm.frame_stack.get().interpreter.bytecode;
            let hash = code.get_or_calculate_hash(); // init code has none
            output.u32(code.pc() as u32);
            output.raw(hash.as_slice());
            output.data(if chain.regions.has(&hash) { &[] } else { code.original_byte_slice() });
        }
        if chain.heat_left == 0 {
            chain.heat_left = heat;
        }
        Exit::Pause
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
                output.raw(inputs.bytecode_address.as_slice());
                output.u64(inputs.gas_limit);
                output.data(&data);
                Some(Exit::Precompile)
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
        if self.borders.cheats.prank.is_some() {
            return Err(Failure::Again); // it outlasts the call
        }
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
            self.finish_call(&last, &data);
            return Ok(Exit::Done);
        }
        let data = record::excess(&evm.ctx, &last).map_or(data, |excess| Bytes::copy_from_slice(&excess));
        let created = match &last {
            FrameResult::Create(outcome) if outcome.result.is_ok() => outcome.address,
            _ => None,
        };
        output.u32(result as u32);
        output.u32(running.ran as u32);
        let is_implicit = running.mode & mode::IMPLICIT != 0; // nothing is refunded
        output.u64(if is_implicit { last.gas().total_gas_spent() } else { last.gas().used() } - last.gas().reservoir());
        for gas in [used.total_gas_spent(), used.state_gas_spent_final(), used.floor_gas()] {
            output.u64(gas);
        }
        output.u32(created.is_some() as u32);
        output.raw(created.unwrap_or_default().as_slice());
        output.data(&data);
        output.logs(&mem::take(&mut evm.ctx.journaled_state.inner.logs));
        output.append(&mut evm.ctx.chain.cause);
        if running.mode & mode::KEEP == 0 {
            self.discard();
        }
        Ok(Exit::Done)
    }

    /// Add the result of a call to the batch's, all logs, also those of frames that failed, and the words of the touched
    /// slots. Keep or discard the call, and make the check, unless the observer may still read accounts.
    fn finish_call(&mut self, last: &FrameResult, data: &[u8]) {
        let result = last.instruction_result();
        let is_kept = self.running.mode & mode::KEEP != 0;
        let mut output = mem::take(&mut self.batch.results);
        let begin = output.len();
        output.u32(0); // for `at_once`
        output.u32(result as u32);
        output.u64(last.gas().total_gas_spent());
        output.u64(last.gas().refunded().max(0) as u64);
        output.data(data);
        self.write_touched(&mut output);
        let logs = mem::take(&mut self.evm.ctx.journaled_state.inner.logs);
        output.reserve(logs.iter().map(|log| MAX_LOG_HEADER + log.data.data.len()).sum());
        output.logs(&logs);
        let touched = mem::take(&mut self.borders.cheats.touched);
        let is_silent = logs.is_empty() && self.evm.ctx.chain.logs.is_empty() && touched.is_empty();
        if self.evm.ctx.chain.logs == logs {
            self.evm.ctx.chain.logs.clear();
            output.u32(SAME_LOGS);
        } else {
            self.write_logs(&mut output);
        }
        if !touched.is_empty() {
            output.u32(touched.len() as u32);
            touched.iter().for_each(|address| output.raw(address.as_slice()));
        }
        let leaves_nothing = is_silent || (is_kept && result.is_ok()); // that Python would have to undo
        self.batch.goes_on = self.borders.at_once && !self.borders.has_stopped && leaves_nothing;
        if !self.borders.at_once {
            self.borders.is_stopped = true;
        } else {
            let mut at_once = at_once::ENDED | if touched.is_empty() { 0 } else { at_once::TOUCHED };
            if is_kept {
                at_once |= self.keep_and_check(result.is_ok());
            } else {
                self.discard();
            }
            output[begin..begin + 4].copy_from_slice(&at_once.to_le_bytes());
        }
        self.batch.results = output;
    }

    /// Keep the changes, and make the check if it is due after a success; the batch ends unless it succeeds. Return
    /// `CHANGED` if there are changes, and `PASSED` if the check has succeeded without a stop.
    fn keep_and_check(&mut self, has_succeeded: bool) -> u32 {
        let changed = if self.keep() { at_once::CHANGED } else { 0 };
        self.batch.is_due |= changed != 0;
        if !has_succeeded || !self.batch.is_due || self.batch.check.is_empty() {
            return changed;
        }
        let mut batch = mem::take(&mut self.batch);
        let mut output = Vec::new();
        self.borders.begin_again(Cheats::default());
        self.start(&mut Reader(&batch.check));
        let has_ended = matches!(self.go(&mut output), Exit::Done) && !self.borders.is_stopped;
        let is_success = InstructionResult::Stop as u32..=InstructionResult::SelfDestruct as u32;
        let has_passed = has_ended && is_success.contains(&Reader(&output[4..]).u32());
        if !has_ended {
            self.abandon();
            self.evm.ctx.chain.heat_left = 1; // where it was hot is lost: Python makes the check again
        }
        batch.is_due = !has_passed;
        batch.goes_on &= has_passed;
        self.batch = batch;
        changed | if has_passed { at_once::PASSED } else { 0 }
    }

    /// Write the words of the slots that the transaction has touched, in the order of their first access.
    fn write_touched(&self, output: &mut Vec<u8>) {
        let inner = &self.evm.ctx.journaled_state.inner;
        let words: Vec<U256> = inner
            .journal
            .iter()
            .filter_map(|entry| match entry {
                JournalEntry::StorageWarmed { address, key } => Some(inner.state[address].storage[key].present_value),
                _ => None,
            })
            .collect();
        output.u32(words.len() as u32);
        for word in words {
            output.word(word);
        }
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
        self.accessed = if self.running.mode & mode::ACCESSES != 0 { self.accesses(id, &removed) } else { Vec::new() };
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let has_removed = !removed.is_empty();
        let has_exchanged = !mem::take(&mut self.exchanged).is_empty();
        if self.running.mode & mode::UNDOABLE != 0 && !has_exchanged {
            self.history.push(Kept { journal: mem::take(&mut inner.journal), removed, cleared });
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
        output.u32(came_to_be.len() as u32);
        came_to_be.into_iter().for_each(|address| output.raw(address.as_slice()));
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
        let address = Reader(input).address();
        let Some(account) = self.evm.ctx.journaled_state.inner.state.get(&address) else { return 0 };
        let code = account.info.code.as_ref().map(|code| code.original_byte_slice()).unwrap_or_default();
        output.word(account.info.balance);
        output.u64(account.info.nonce);
        output.data(&code[..code.len().min(24)]);
        1
    }

    /// Write the changes since `drained`: per account its fields, its code if that changed, and its changed slots.
    pub fn drain(&mut self, output: &mut Vec<u8>) -> u32 {
        let inner = &self.evm.ctx.journaled_state.inner;
        let mut all: Vec<(&Address, &Changes)> = self.changes.iter().collect();
        all.sort_by_key(|(address, changes)| (changes.position.unwrap_or(u32::MAX), **address));
        let clears = inner.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        output.u32(all.len() as u32);
        for (address, changes) in all {
            let account = &inner.state[address];
            let exists = if clears {
                !account.is_empty() || has_words(account)
            } else {
                !account.is_loaded_as_not_existing_not_touched()
            };
            output.raw(address.as_slice());
            let has_existed = changes.position.is_some();
            output.u32(
                exists as u32 | (changes.wiped as u32) << 1 | (changes.code as u32) << 2 | (has_existed as u32) << 3,
            );
            output.word(account.info.balance);
            output.u64(account.info.nonce);
            output.raw(account.info.code_hash.as_slice());
            let code = account.info.code.as_ref().filter(|_| changes.code);
            let code = code.map(|code| code.original_byte_slice()).unwrap_or_default();
            output.u32(code.len() as u32);
            output.u32(changes.slots.len() as u32);
            output.raw(code);
            for slot in &changes.slots {
                output.word(*slot);
                output.word(account.storage.get(slot).map_or(U256::ZERO, |word| word.present_value));
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
    match mode & (mode::COUNTERS | mode::STEPS) {
        0 => Detail::Nothing,
        mode::COUNTERS => Detail::Counters,
        _ => Detail::Steps,
    }
}

/// Return the account that an entry of the journal has changed, another one, and whether the first now exists by it.
fn changed<'a>(
    entry: &'a JournalEntry, state: &EvmState, clears: bool,
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
    /// The transaction begins again.
    Again,
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

fn transaction(read: &mut Reader<'_>) -> TxEnv {
    let tx_type = read.u32() as u8;
    let gas_limit = read.u64();
    let nonce = read.u64();
    let gas_price = read.u128();
    let priority = read.u128();
    let max_fee_per_blob_gas = read.u128();
    let caller = read.address();
    let kind = if read.u32() != 0 { TxKind::Call(read.address()) } else { TxKind::Create };
    let value = read.word();
    let data = Bytes::copy_from_slice(read.data());
    let access_list = AccessList(
        read.list(|read| AccessListItem { address: read.address(), storage_keys: read.list(|read| read.hash()) }),
    );
    let blob_hashes: Vec<B256> = read.list(|read| read.hash());
    let authorization_list = read.list(|read| {
        let inner = Authorization { chain_id: read.word(), address: read.address(), nonce: read.u64() };
        let authority =
            if read.u32() != 0 { RecoveredAuthority::Valid(read.address()) } else { RecoveredAuthority::Invalid };
        Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))
    });
    TxEnv {
        tx_type,
        caller,
        gas_limit,
        gas_price,
        kind,
        value,
        data,
        nonce,
        chain_id: None,
        access_list,
        gas_priority_fee: (tx_type >= 2).then_some(priority),
        blob_hashes,
        max_fee_per_blob_gas,
        authorization_list,
    }
}
