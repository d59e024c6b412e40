//! Calls that are transactions of their own within a transaction (forge's `isolate`): accounts and slots are cold, original
//! words are the present ones, transient storage is empty, and gas is free. The frame that makes them is the first one, so
//! nothing that has been done before can be undone without the whole.

use crate::session::{Exit, Session};
use crate::wire::{Reader, Write};
use revm::context::JournalEntry;
use revm::interpreter::{FrameInput, Gas};
use revm::primitives::{Address, HashMap, HashSet, U256};
use revm::state::TransientStorage;

/// What the frame that makes such calls goes on with after them.
#[derive(Default)]
pub struct Isolation {
    /// Size of the journal when all accounts were made cold.
    cold: usize,
    /// Size of the journal when the last such call began.
    start: usize,
    transient: TransientStorage,
    gas_price: u128,
    base_fee: u64,
}

impl Session {
    /// Make all accounts and slots cold.
    pub fn make_cold(&mut self) {
        let inner = &mut self.evm.ctx.journaled_state.inner;
        inner.transaction_id.increment();
        self.borders.isolation.cold = inner.journal.len();
    }

    /// Begin a transaction with the held call, with this gas for its frame.
    pub fn begin_isolated(&mut self, sender: Address, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let gas = read.u64();
        let init = self.running.held.as_mut().ok_or(Exit::Leave)?;
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let start = inner.journal.len();
        if inner.load_account(database, sender).is_err() {
            return Err(self.request(output));
        }
        let isolation = &mut self.borders.isolation;
        isolation.start = start;
        isolation.transient = std::mem::take(&mut inner.transient_storage);
        isolation.gas_price = std::mem::take(&mut self.evm.ctx.tx.gas_price);
        isolation.base_fee = std::mem::take(&mut self.evm.ctx.block.basefee);
        inner.transaction_id.increment();
        inner.load_account(database, sender).expect("it was loaded");
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

    /// End it: write the gas that it used, and its refund. Fails if it has removed an account.
    pub fn end_isolated(&mut self, read: &mut Reader<'_>, output: &mut Vec<u8>) -> Result<(), Exit> {
        let (limit, intrinsic, floor, quotient) = (read.u64(), read.u64(), read.u64(), read.u64());
        let ended = self.borders.ended.as_mut().ok_or(Exit::Leave)?;
        let (gas, result) = (*ended.gas(), ended.instruction_result());
        let spent = gas.total_gas_spent() + intrinsic;
        let refunded = gas.refunded().max(0) as u64;
        let refund = if result.is_ok() { refunded.min(spent / quotient) } else { 0 };
        let used = (spent - refund).max(floor);
        let used = if result.is_ok_or_revert() && used <= limit { used } else { 0 };
        let mut charged = Gas::new(limit);
        charged.set_remaining(if result.is_ok_or_revert() { limit - used } else { gas.remaining().min(limit) });
        // The refund of a failed call counts if the observer makes it a success.
        charged.set_refund(if result.is_ok() { refund } else { refunded } as i64);
        *ended.gas_mut() = charged;
        if let Some(record) = &mut self.evm.ctx.chain.record {
            record.set_spent(used);
        }
        output.u64(used);
        output.u64(refund);
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
        inner.transient_storage = std::mem::take(&mut isolation.transient);
        if !inner.selfdestructed_addresses.is_empty() {
            return Err(Exit::Leave);
        }
        // What was warm before is so again, with the original words of the whole transaction.
        let (before, earlier) = inner.journal[..isolation.start].split_at(isolation.cold);
        let mut originals: HashMap<(Address, U256), U256> = HashMap::default();
        let mut warm: HashSet<Address> = HashSet::default();
        for entry in earlier {
            match entry {
                JournalEntry::StorageChanged { address, key, had_value } => {
                    originals.entry((*address, *key)).or_insert(*had_value);
                }
                JournalEntry::AccountWarmed { address } => _ = warm.insert(*address),
                _ => {}
            }
        }
        for entry in before {
            if let JournalEntry::AccountWarmed { address } = entry
                && !warm.contains(address)
            {
                inner.state.get_mut(address).expect("it was loaded").mark_cold();
            }
        }
        for address in warm {
            inner.state.get_mut(&address).expect("it was loaded").mark_warm_with_transaction_id(inner.transaction_id);
        }
        for entry in earlier {
            let JournalEntry::StorageWarmed { address, key } = entry else { continue };
            let account = inner.state.get_mut(address).expect("it was loaded");
            let slot = account.storage.get_mut(key).expect("it was loaded");
            slot.transaction_id = inner.transaction_id;
            slot.is_cold = false;
            if let Some(original) = originals.get(&(*address, *key)) {
                slot.original_value = *original;
            }
        }
        Ok(())
    }
}
