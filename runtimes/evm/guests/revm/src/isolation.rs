//! Calls that are transactions of their own within a transaction (forge's `isolate`): accounts and slots are cold, original
//! words are the present ones, transient storage is empty, and gas is free. The frame that makes them is the first one, so
//! nothing that has been done before can be undone without the whole.
//!
//! The guest isolates the calls of the first frame itself while the observer asks for it (`mode::ISOLATES`); calls at
//! which the transaction stops are isolated by the observer's operations.

use crate::amsterdam::spent;
use crate::native::KERNEL;
use crate::protocol::{Exit, ISOLATED_BASE, IsolatedCharges as Charges, IsolatedGas, mode};
use crate::record;
use crate::session::Session;
use crate::wire::{Reader, Write};
use revm::context::{Cfg, JournalEntry, JournalInner};
use revm::context_interface::cfg::gas_params::Eip2780TxInfo;
use revm::handler::FrameResult;
use revm::interpreter::interpreter_action::FrameInit;
use revm::interpreter::{CallScheme, CreateScheme, FrameInput, Gas, InitialAndFloorGas, InstructionResult};
use revm::primitives::{Address, AddressMap, HashMap, HashSet, U256};
use revm::state::{TransactionId, TransientStorage};

/// Depth of the calls of the first frame.
const DEPTH: usize = 1;

/// What the frame that makes such calls goes on with after them.
#[derive(Default)]
pub struct Isolation {
    /// Number of the frame's transaction, for which accounts and slots that it has used are warm.
    outer: TransactionId,
    /// The highest number that an isolated call or a cold start had; the next transaction needs a higher one.
    highest: TransactionId,
    /// Accounts that were made cold, and that the frame has not used since.
    cold: HashSet<Address>,
    /// Original words of the slots that were changed since.
    originals: HashMap<(Address, U256), U256>,
    /// Size of the journal when all accounts were made cold.
    cold_start: usize,
    /// Size of the journal up to which `cold` and `originals` are complete.
    noted: usize,
    /// Size of the journal when the last such call began.
    start: usize,
    /// A frame has failed since then, so the journal does not tell all that it made cold.
    pub has_failed: bool,
    transient: TransientStorage,
    /// What is warm for the frame's transaction by an exchange of the state.
    access_list: AddressMap<HashSet<U256>>,
    gas_price: u128,
    base_fee: u64,
    /// Gas of the call beyond the intrinsic one, of execution and of new state, and the state gas of its caller.
    first_call: (u64, u64),
    reservoir: u64,
    /// Charges of the call that the guest has isolated itself.
    charges: Option<Charges>,
}

fn since(journal: &[JournalEntry], start: usize) -> &[JournalEntry] {
    journal.get(start..).unwrap_or_default()
}

/// Remove the accounts that an isolated call has destroyed. Fails if the state has more of one than is held.
fn remove(inner: &mut JournalInner<JournalEntry>) -> Result<(), Exit> {
    for address in std::mem::take(&mut inner.selfdestructed_addresses) {
        // An exchange of the state may have brought it back.
        let destroyed = inner.state.get_mut(&address).filter(|account| account.is_selfdestructed_locally());
        let Some(account) = destroyed else { continue };
        if !account.is_created() {
            return Err(Exit::LEAVE);
        }
        for (key, word) in account.storage.iter_mut().filter(|(_, word)| !word.present_value.is_zero()) {
            let had_value = std::mem::replace(&mut word.present_value, U256::ZERO);
            inner.journal.push(JournalEntry::StorageChanged { address, key: *key, had_value });
        }
        let old = std::mem::take(&mut account.info);
        account.unmark_selfdestructed_locally();
        account.unmark_selfdestruct();
        inner.journal.extend([
            JournalEntry::BalanceChange { address, old_balance: old.balance },
            JournalEntry::NonceChange { address, previous_nonce: old.nonce },
            JournalEntry::CodeChange { address, had_code_hash: old.code_hash, had_code: old.code },
        ]);
    }
    Ok(())
}

impl Isolation {
    /// The largest of the sizes of the journal.
    pub fn position(&self) -> usize {
        self.cold_start.max(self.noted).max(self.start)
    }

    /// Return a number for a transaction that none had.
    fn next(&mut self, id: TransactionId) -> TransactionId {
        self.highest = self.highest.max(id);
        self.highest.increment();
        self.highest
    }

    /// Note what the frame has used and changed since the last call.
    fn note(&mut self, journal: &[JournalEntry]) {
        for entry in since(journal, self.noted) {
            if let JournalEntry::AccountWarmed { address } = entry {
                self.cold.remove(address);
            }
        }
        self.note_words(journal);
    }

    fn note_words(&mut self, journal: &[JournalEntry]) {
        for entry in since(journal, self.noted) {
            if let JournalEntry::StorageChanged { address, key, had_value } = entry {
                self.originals.entry((*address, *key)).or_insert(*had_value);
            }
        }
        self.noted = journal.len();
    }
}

/// Replace transient storage by that of another call, except for the kernel's count; return it.
fn exchange_transient(inner: &mut JournalInner<JournalEntry>, mut other: TransientStorage) -> TransientStorage {
    if let Some(own) = inner.transient_storage.get(&KERNEL) {
        other.insert(KERNEL, own.clone());
    }
    std::mem::replace(&mut inner.transient_storage, other)
}

impl Session {
    /// Make all accounts and slots cold.
    pub fn make_cold(&mut self) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        let isolation = &mut self.borders.isolation;
        inner.transaction_id = isolation.next(inner.transaction_id);
        for entry in since(&inner.journal, isolation.cold_start) {
            if let JournalEntry::AccountWarmed { address } = entry {
                isolation.cold.insert(*address);
            }
        }
        isolation.originals.clear();
        inner.warm_addresses.set_access_list(AddressMap::default());
        isolation.cold_start = inner.journal.len();
        isolation.noted = isolation.cold_start;
        self.evm.ctx.chain.isolates = true;
    }

    /// True for a call that becomes a transaction: as in forge, it runs the callee's own code.
    pub fn is_isolated(&self, init: &FrameInit) -> bool {
        let is_call = matches!(&init.frame_input, FrameInput::Call(call) if call.scheme == CallScheme::Call);
        self.running.mode & mode::ISOLATES != 0 && init.depth == DEPTH && is_call
    }

    /// Return the gas that the limit of a transaction without lists must cover.
    pub fn required_gas(&self, data: &[u8], creates: bool, value: U256, is_self_transfer: bool) -> InitialAndFloorGas {
        let cfg = &self.evm.ctx.cfg;
        let info = cfg.enable_amsterdam_eip2780.then_some(Eip2780TxInfo { value, is_self_transfer });
        cfg.gas_params().initial_tx_gas(data, creates, 0, 0, 0, info)
    }

    /// Return the gas of a free call by a transaction's rules, without its intrinsic gas.
    pub fn charged_gas(&self, spent: u64, refund: u64) -> u64 {
        let (tx, prices) = (&self.evm.ctx.tx, self.evm.ctx.cfg.gas_params());
        let required = self.required_gas(&tx.data, tx.kind.is_create(), U256::ZERO, false);
        let (intrinsic, floor) = (required.initial_total_gas(), required.floor_gas());
        let used = spent + intrinsic;
        (used - refund.min(used / prices.max_refund_quotient())).max(floor).saturating_sub(intrinsic)
    }

    /// Isolate a call that begins, if it is one of the first frame. Return its result if it is not made: it lacks the
    /// transaction's intrinsic gas.
    pub fn isolate(&mut self, init: &mut FrameInit, output: &mut Vec<u8>) -> Result<Option<FrameResult>, Exit> {
        if self.running.mode & mode::ISOLATES == 0 || init.depth != DEPTH || self.borders.is_entering {
            return Ok(None);
        }
        let (data, value, sender, limit) = match &init.frame_input {
            FrameInput::Call(call) if call.scheme == CallScheme::StaticCall => {
                self.make_cold();
                return Ok(None);
            }
            FrameInput::Call(call) if call.scheme == CallScheme::Call => {
                (call.input.bytes(&self.evm.ctx), call.value.get(), call.caller, call.gas_limit)
            }
            FrameInput::Create(creation) if creation.scheme() == CreateScheme::Create => {
                (creation.init_code().clone(), creation.value(), creation.caller(), creation.gas_limit())
            }
            _ => return Ok(None),
        };
        let creates = matches!(init.frame_input, FrameInput::Create(_));
        if !value.is_zero() {
            self.load(sender, output)?;
            if self.evm.ctx.journaled_state.inner.state[&sender].info.balance < value {
                return Ok(None);
            }
        }
        let is_self_transfer =
            matches!(&init.frame_input, FrameInput::Call(call) if call.target_address == call.caller);
        let required = self.required_gas(&data, creates, value, is_self_transfer);
        let context = &self.evm.ctx;
        let prices = context.cfg.gas_params();
        let (intrinsic, floor) = (required.initial_total_gas(), required.floor_gas());
        let gas = (limit + ISOLATED_BASE).min(context.block.gas_limit);
        let charges = Charges { limit, intrinsic, floor, quotient: prices.max_refund_quotient() };
        if gas < intrinsic.max(floor) {
            let mut ended = Self::without_call(init);
            match &mut ended {
                FrameResult::Call(outcome) => outcome.result.result = InstructionResult::Revert,
                FrameResult::Create(outcome) => outcome.result.result = InstructionResult::Revert,
            }
            if let FrameResult::Call(outcome) = &ended {
                record::start(&mut self.evm.ctx, init, false);
                record::answered(&mut self.evm.ctx, false, &outcome.result.output);
            }
            return Ok(Some(ended));
        }
        self.begin_isolated(init, sender, gas - intrinsic, output)?;
        self.borders.isolation.charges = Some(charges);
        Ok(None)
    }

    /// End the call of the first frame that the guest has isolated, if it is one. Fails as `charge_isolated` does.
    pub fn end_own_isolated(&mut self, ended: &mut FrameResult, depth: usize) -> Result<(), Exit> {
        match self.borders.isolation.charges.take_if(|_| depth == DEPTH) {
            Some(charges) => self.charge_isolated(ended, &charges).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Go on after all isolated calls with a number that none of them had.
    pub fn leave_isolated(&mut self) {
        let id = &mut self.evm.ctx.journaled_state.inner.transaction_id;
        *id = (*id).max(self.borders.isolation.highest);
    }

    /// Undo what an isolated call has changed outside of the state; it is discarded.
    pub fn discard_isolated(&mut self) {
        self.leave_isolated();
        if self.borders.isolation.charges.take().is_some() {
            self.evm.ctx.tx.gas_price = self.borders.isolation.gas_price;
            self.evm.ctx.block.basefee = self.borders.isolation.base_fee;
        }
    }

    /// Begin a transaction with a call, with this gas for its frame.
    pub fn begin_isolated(
        &mut self,
        init: &mut FrameInit,
        sender: Address,
        gas: u64,
        output: &mut Vec<u8>,
    ) -> Result<(), Exit> {
        self.first_call_gas(&init.frame_input, output)?; // what is missing is requested before anything changes
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let start = inner.journal.len();
        if inner.load_account(database, sender).is_err() {
            return Err(self.request(output));
        }
        let isolation = &mut self.borders.isolation;
        isolation.note(&inner.journal[..start]);
        isolation.start = start;
        isolation.has_failed = false;
        isolation.outer = inner.transaction_id;
        isolation.transient = exchange_transient(inner, TransientStorage::default());
        isolation.access_list = inner.warm_addresses.access_list().clone();
        inner.warm_addresses.set_access_list(AddressMap::default());
        let (tx, block) = (&mut self.evm.ctx.tx, &mut self.evm.ctx.block);
        (isolation.gas_price, isolation.base_fee) = (tx.gas_price, block.basefee);
        if self.running.mode & mode::SHOWS_PRICE == 0 {
            tx.gas_price = 0;
        }
        if self.running.mode & mode::SHOWS_BASE_FEE == 0 {
            block.basefee = 0;
        }
        inner.transaction_id = isolation.next(inner.transaction_id);
        self.evm.ctx.chain.isolates = true;
        inner.load_account(database, sender).expect("it was loaded");
        let first_call = self.first_call_gas(&init.frame_input, output)?;
        // A transaction that lacks this gas ends without its call.
        let gas = gas.checked_sub(first_call.0 + first_call.1).ok_or(Exit::LEAVE)?;
        self.borders.isolation.first_call = first_call;
        self.borders.isolation.reservoir = init.frame_input.reservoir();
        init.frame_input.set_reservoir(0);
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        match &mut init.frame_input {
            FrameInput::Call(inputs) => {
                inputs.gas_limit = gas;
                inner.load_account(database, inputs.target_address).expect("it was loaded");
                let info = &mut inner.state.get_mut(&sender).expect("it was loaded").info;
                // As in forge, a maximal nonce stays.
                if let Some(nonce) = info.nonce.checked_add(1) {
                    info.nonce = nonce;
                    inner.journal.push(JournalEntry::NonceBump { address: sender });
                }
                inner.touch(sender);
            }
            FrameInput::Create(inputs) => inputs.set_gas_limit(gas),
            FrameInput::Empty => {}
        }
        Ok(())
    }

    /// End the call at whose end the transaction has stopped: write the gas that it used, and its refund.
    pub fn end_isolated(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let charges: Charges = read.get();
        let mut ended = self.borders.ended.take().ok_or(Exit::LEAVE)?;
        let charged = self.charge_isolated(&mut ended, &charges);
        self.borders.ended = Some(ended);
        let (used, refund) = charged?;
        output.put(IsolatedGas { used, refund });
        Ok(())
    }

    /// Charge the caller for an isolated call, and go on after it; return the gas that it used, and its refund. Fails if
    /// it has removed an account.
    fn charge_isolated(&mut self, ended: &mut FrameResult, charges: &Charges) -> Result<(u64, u64), Exit> {
        let limit = charges.limit;
        let (gas, result) = (*ended.gas(), ended.instruction_result());
        let (execution, state) = self.borders.isolation.first_call;
        let spent = spent(&gas, result) + charges.intrinsic + execution + if result.is_ok() { state } else { 0 };
        let refunded = gas.refunded().max(0) as u64;
        let refund = if result.is_ok() { refunded.min(spent / charges.quotient) } else { 0 };
        let used = (spent - refund).max(charges.floor);
        let used = if result.is_ok_or_revert() && used <= limit { used } else { 0 };
        let mut charged = Gas::new(limit);
        charged.set_remaining(if result.is_ok_or_revert() { limit - used } else { gas.remaining().min(limit) });
        // The refund of a failed call counts if the observer makes it a success.
        charged.set_refund(if result.is_ok() { refund } else { refunded } as i64);
        charged.set_reservoir(self.borders.isolation.reservoir);
        *ended.gas_mut() = charged;
        if let Some(record) = &mut self.evm.ctx.chain.record {
            record.set_spent(used);
        }
        let isolation = &mut self.borders.isolation;
        let (tx, block) = (&mut self.evm.ctx.tx, &mut self.evm.ctx.block);
        // A cheatcode may have set other prices meanwhile.
        if tx.gas_price == 0 {
            tx.gas_price = isolation.gas_price;
        }
        if block.basefee == 0 {
            block.basefee = isolation.base_fee;
        }
        let inner = &mut self.evm.ctx.journaled_state.inner;
        exchange_transient(inner, std::mem::take(&mut isolation.transient));
        inner.warm_addresses.set_access_list(std::mem::take(&mut isolation.access_list));
        remove(inner)?;
        // What was warm before is so again, and what the call has made warm, with the original words of the frame's
        // transaction.
        let outer = isolation.outer;
        inner.transaction_id = outer;
        let from = if isolation.has_failed { isolation.cold_start } else { isolation.start };
        for entry in since(&inner.journal, from) {
            match entry {
                JournalEntry::AccountWarmed { address } if !isolation.cold.contains(address) => {
                    inner.state.get_mut(address).expect("it was loaded").mark_warm_with_transaction_id(outer);
                }
                JournalEntry::StorageWarmed { address, key } => {
                    let account = inner.state.get_mut(address).expect("it was loaded");
                    let slot = account.storage.get_mut(key).expect("it was loaded");
                    slot.transaction_id = outer;
                    slot.is_cold = false;
                    if let Some(original) = isolation.originals.get(&(*address, *key)) {
                        slot.original_value = *original;
                    }
                }
                _ => {}
            }
        }
        isolation.note_words(&inner.journal);
        Ok((used, refund))
    }
}
