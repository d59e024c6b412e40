//! What a frame of a tree may ask of the world: the other form of `runtimes/evm/ethereum/host.py`.

use super::{SLICE, Tree};
use crate::frame::*;
use crate::host::{Answer, Host, Outside, mailbox, host_call};
use crate::journal::Log;
use crate::keccak::keccak256;
use crate::keyed::Key;
use crate::tables::{GasTable, tree_flag};
use crate::tables::host_call::{TICK, TRANSIENT};
use crate::words::{self, ZERO};
use revm_primitives::U256;

const MAX_FRAME_MEMORY: u64 = 512 << 20;
const MAX_MEMORY: u64 = 2 << 30;

/// (price, refund) of writing a warm slot: EIP-2200, or the rule before EIP-1283.
fn sstore(prices: &GasTable, original: &U256, current: &U256, new: &U256) -> (u64, i64) {
    let clear_refund = prices.clear_refund as i64;
    if prices.net_slots == 0 {
        let (was_zero, is_zero) = (words::is_zero(current), words::is_zero(new));
        let price = if was_zero && !is_zero { prices.set_slot } else { prices.reset_slot };
        return (price, if !was_zero && is_zero { clear_refund } else { 0 });
    }
    if words::equal(current, new) {
        return (prices.dirty_slot, 0);
    }
    if words::equal(original, current) {
        if words::is_zero(original) {
            return (prices.set_slot, 0);
        }
        return (prices.reset_slot, if words::is_zero(new) { clear_refund } else { 0 });
    }
    let mut refund = 0;
    if !words::is_zero(original) {
        if words::is_zero(current) {
            refund -= clear_refund;
        } else if words::is_zero(new) {
            refund += clear_refund;
        }
    }
    if words::equal(original, new) {
        let price = if words::is_zero(original) { prices.set_slot } else { prices.reset_slot };
        refund += price as i64 - prices.dirty_slot as i64;
    }
    (prices.dirty_slot, refund)
}

impl Host for Tree {
    fn overdraw(&mut self, frame: &mut Frame, amount: u64) -> Answer<()> {
        let total = frame.gas + self.rest;
        if total < amount {
            return Err(OUT_OF_GAS);
        }
        host_call(frame, TICK)?;
        frame.gas = total.min(amount.max(SLICE));
        self.rest = total - frame.gas;
        Ok(())
    }

    fn grow(&mut self, frame: &mut Frame, size: u64) -> Answer<()> {
        let prices = &self.prices;
        let price = |words: u64| prices.memory_word * words + words * words / prices.memory_quotient;
        let more_gas = price(size >> 5) - price(frame.granted >> 5);
        self.charge(frame, more_gas)?;
        let more = size - frame.granted;
        if size > MAX_FRAME_MEMORY || self.memory + more > MAX_MEMORY {
            return Err(OUT_OF_GAS);
        }
        self.memory += more;
        frame.granted = size;
        Ok(())
    }

    fn get_storage(&mut self, frame: &mut Frame, key: &U256) -> Answer<U256> {
        let at = self.slot(frame, key)?;
        let price = if self.journal.warm_slot(at) { self.prices.warm } else { self.prices.cold_slot };
        self.charge_slot(frame, price)?;
        Ok(self.journal.slots[at as usize].current)
    }

    fn set_storage(&mut self, frame: &mut Frame, key: &U256, value: &U256) -> Answer<()> {
        if frame.gas + self.rest <= self.prices.slot_sentry {
            return Err(OUT_OF_GAS);
        }
        let at = self.slot(frame, key)?;
        let cold = if self.journal.warm_slot(at) { 0 } else { self.prices.cold_write };
        let slot = &self.journal.slots[at as usize];
        let (price, refund) = sstore(&self.prices, &slot.original, &slot.current, value);
        let changes = !words::equal(&slot.current, value);
        let (was_zero, is_zero) = (words::is_zero(&slot.current), words::is_zero(value));
        let grows = words::is_zero(&slot.original) && was_zero != is_zero;
        self.charge_slot(frame, price + cold)?;
        if grows && was_zero {
            self.charge_state(frame, self.prices.slot_bytes * self.prices.state_byte)?;
        } else if grows {
            self.rest += self.journal.refund_state(self.prices.slot_bytes * self.prices.state_byte);
        }
        self.journal.add_refund(refund);
        if changes {
            self.journal.set_slot(at, *value);
        }
        Ok(())
    }

    fn get_transient(&mut self, frame: &mut Frame, key: &U256) -> Answer<U256> {
        let place = (self.me, Key(*key));
        if let Some(word) = self.journal.transient.get(&place) {
            return Ok(*word);
        }
        mailbox().words[0] = self.journal.at(self.me).address;
        mailbox().words[1] = *key;
        host_call(frame, TRANSIENT)?;
        let word = mailbox().words[0];
        self.journal.transient.insert(place, word);
        Ok(word)
    }

    fn set_transient(&mut self, frame: &mut Frame, key: &U256, value: &U256) -> Answer<()> {
        let before = self.get_transient(frame, key)?;
        self.journal.set_transient(self.me, *key, before, *value);
        Ok(())
    }

    fn balance(&mut self, frame: &mut Frame, address: &U256) -> Answer<U256> {
        let (at, price) = self.access(frame, address)?;
        self.charge(frame, price)?;
        Ok(self.journal.at(at).balance)
    }

    fn self_balance(&mut self, _: &mut Frame) -> Answer<U256> {
        Ok(self.journal.at(self.me).balance)
    }

    fn code_size(&mut self, frame: &mut Frame, address: &U256) -> Answer<U256> {
        let (at, price) = self.access(frame, address)?;
        self.charge(frame, price + self.prices.code_read)?;
        Ok(U256::from(self.journal.at(at).code_size))
    }

    fn code_hash(&mut self, frame: &mut Frame, address: &U256) -> Answer<U256> {
        let (at, price) = self.access(frame, address)?;
        self.charge(frame, price)?;
        Ok(if self.is_alive(at) { self.journal.at(at).code_hash } else { ZERO })
    }

    fn load_code(&mut self, frame: &mut Frame, address: &U256) -> Answer<()> {
        let (at, price) = self.access(frame, address)?;
        self.charge(frame, price + self.prices.code_read)?;
        self.copied = Some(self.code_of(frame, at)?);
        Ok(())
    }

    fn copy_code(&mut self, frame: &mut Frame, region: (usize, usize), offset: &U256) -> Answer<()> {
        if let Some(code) = self.copied.take() {
            Frame::fill(&mut frame.memory, region, code.bytes(), offset);
        }
        Ok(())
    }

    fn context(&mut self, frame: &mut Frame, field: usize) -> Answer<U256> {
        if self.context.is_none() {
            Outside.context(frame, 0)?;
            self.context = frame.context.as_deref().copied();
        }
        Ok(self.context.map_or(ZERO, |context| context[field]))
    }

    fn origin(&mut self, frame: &mut Frame) -> Answer<U256> {
        Outside.origin(frame)
    }

    fn prev_randao(&mut self, frame: &mut Frame) -> Answer<U256> {
        Outside.prev_randao(frame)
    }

    fn gas_left(&mut self, frame: &mut Frame) -> Answer<U256> {
        Ok(U256::from(frame.gas + self.rest))
    }

    fn block_hash(&mut self, frame: &mut Frame, number: &U256) -> Answer<U256> {
        Outside.block_hash(frame, number)
    }

    fn blob_hash(&mut self, frame: &mut Frame, index: &U256) -> Answer<U256> {
        Outside.blob_hash(frame, index)
    }

    fn blob_base_fee(&mut self, frame: &mut Frame) -> Answer<U256> {
        Outside.blob_base_fee(frame)
    }

    fn slot_number(&mut self, frame: &mut Frame) -> Answer<U256> {
        Outside.slot_number(frame)
    }

    fn keccak256(&mut self, frame: &mut Frame, region: (usize, usize)) -> Answer<U256> {
        self.charge(frame, self.prices.keccak_word * (region.1 as u64).div_ceil(32))?;
        Ok(U256::from_be_bytes(keccak256(frame.region(region))))
    }

    fn log(&mut self, frame: &mut Frame, region: (usize, usize), topics: &[U256]) -> Answer<()> {
        self.charge(frame, self.prices.log_byte * region.1 as u64)?;
        let data = frame.region(region).to_vec();
        let address = self.journal.at(self.me).address;
        self.journal.logs.push(Log { address, topics: topics.to_vec(), data });
        Ok(())
    }

    fn selfdestruct(&mut self, frame: &mut Frame, beneficiary: &U256) -> Answer<()> {
        let me = self.me;
        let balance = self.journal.at(me).balance;
        let heir = self.account(frame, beneficiary)?;
        let mut cost = if self.journal.warm(heir) { 0 } else { self.prices.cold_account };
        let is_new = (!words::is_zero(&balance) || !self.has(tree_flag::CLEARS_EMPTY)) && !self.exists(heir);
        if is_new {
            cost += self.prices.heir_account;
        }
        self.charge(frame, cost)?;
        if is_new {
            self.charge_new_account(frame)?;
        }
        self.journal.touch(heir);
        if !words::is_zero(&balance) {
            self.journal.transfer(me, heir, &balance);
        }
        if self.journal.at(me).created || !self.has(tree_flag::DESTROYS_NEW_ONLY) {
            if !self.journal.at(me).destroyed {
                self.journal.add_refund(self.prices.destroy_refund as i64);
            }
            if self.has(tree_flag::BURNS_BALANCE) {
                self.journal.set_balance(me, ZERO);
            }
            self.journal.destroy(me);
        }
        Ok(())
    }

    fn step(&mut self, _: &mut Frame) -> Answer<()> {
        Err(NO_ROOM) // a tree is not traced: its frames are run one by one then
    }
}
