//! What a tree finds out from the host when it first looks: accounts, codes and slots.

use super::Tree;
use crate::frame::*;
use crate::host::{Answer, mailbox, host_call};
use crate::journal::{Account, Changed, Slot};
use crate::keyed::{Key, Map};
use crate::tables::account::*;
use crate::tables::tree_flag;
use crate::tables::host_call::{ACCOUNT, ACCOUNT_CODE, SLOT, TAKE};
use crate::words::ZERO;
use revm_primitives::U256;
use std::rc::Rc;

const P256: u64 = 0x100;
const MOST_CODES: usize = 8 << 20;

/// An account as the host tells of it.
pub struct Told {
    pub flags: u64,
    pub nonce: u64,
    pub code_size: u64,
    pub balance: U256,
    pub code_hash: U256,
    pub code_key: U256,
    pub delegate: U256,
    pub root: U256,
}

impl Tree {
    pub(super) fn account(&mut self, frame: &mut Frame, address: &U256) -> Answer<u32> {
        let limbs = address.as_limbs();
        let address = U256::from_limbs([limbs[0], limbs[1], limbs[2] & 0xffff_ffff, 0]);
        if let Some(at) = self.journal.places.get(&Key(address)) {
            return Ok(*at);
        }
        mailbox().words[0] = address;
        host_call(frame, ACCOUNT)?;
        let [flags, nonce, code_size, ..] = mailbox().numbers;
        let [balance, code_hash, code_key, delegate, root, ..] = mailbox().words;
        if flags & LEAVE != 0 {
            return Err(LEFT);
        }
        let told = Told { flags, nonce, code_size, balance, code_hash, code_key, delegate, root };
        Ok(self.add_account(address, told))
    }

    pub(super) fn add_account(&mut self, address: U256, told: Told) -> u32 {
        let Told { flags, nonce, code_size, balance, code_hash, code_key, delegate, root } = told;
        let at = self.journal.accounts.len() as u32;
        self.journal.accounts.push(Account {
            address,
            balance,
            nonce,
            exists: flags & EXISTS != 0,
            warm: flags & WARM != 0,
            touched: false,
            created: flags & CREATED != 0,
            destroyed: flags & DESTROYED != 0,
            asked: flags & ASKED != 0,
            has_slots: flags & HAS_SLOTS != 0,
            had_slots: flags & HAD_SLOTS != 0,
            storage: if flags & UNTOUCHED != 0 { Some(self.stored.number(root)) } else { None },
            code_size: code_size as usize,
            code_hash,
            code_key,
            code: None,
            delegate: if flags & DELEGATES != 0 { Some(delegate) } else { None },
            slots: Map::default(),
            changed: Changed::default(),
        });
        self.journal.places.insert(Key(address), at);
        at
    }

    /// The account behind an address, and the price of looking at it.
    pub(super) fn access(&mut self, frame: &mut Frame, address: &U256) -> Answer<(u32, u64)> {
        let at = self.account(frame, address)?;
        let price = if self.journal.warm(at) { self.prices.warm } else { self.prices.cold_account };
        Ok((at, price))
    }

    pub(super) fn is_alive(&mut self, at: u32) -> bool {
        let account = self.journal.at(at);
        account.exists && !account.is_empty()
    }

    /// True if there is an account, under EIP-161 one that is not empty.
    pub(super) fn exists(&mut self, at: u32) -> bool {
        if self.has(tree_flag::CLEARS_EMPTY) { self.is_alive(at) } else { self.journal.at(at).exists }
    }

    pub(super) fn code_of(&mut self, frame: &mut Frame, at: u32) -> Answer<Rc<Code>> {
        let account = self.journal.at(at);
        if let Some(code) = &account.code {
            return Ok(code.clone());
        }
        let (key, size, address) = (Key(account.code_key), account.code_size, account.address);
        let code = match self.codes.get(&key) {
            _ if size == 0 => Rc::new(Code::new(&[])),
            Some(code) => code.clone(),
            None => {
                mailbox().words[0] = address;
                host_call(frame, ACCOUNT_CODE)?;
                let code = Rc::new(Code::new(&take(frame, size)?));
                self.add_code(at, code.clone());
                code
            }
        };
        self.journal.at(at).code = Some(code.clone());
        Ok(code)
    }

    /// Keep code that was fetched, for later trees too.
    pub(super) fn add_code(&mut self, at: u32, code: Rc<Code>) {
        if self.code_bytes + code.size > MOST_CODES {
            self.codes.clear();
            self.code_bytes = 0;
        }
        self.code_bytes += code.size;
        let key = Key(self.journal.at(at).code_key);
        self.codes.insert(key, code);
    }

    pub(super) fn slot(&mut self, frame: &mut Frame, key: &U256) -> Answer<u32> {
        let account = &self.journal.accounts[self.me as usize];
        if let Some(at) = account.slots.get(&Key(*key)) {
            return Ok(*at);
        }
        if account.has_slots {
            let stored = account.storage.and_then(|storage| self.stored.get(storage, *key));
            let Some(word) = stored else { return self.ask_for_slot(frame, key) };
            return Ok(self.keep_slot(Slot {
                account: self.me,
                key: *key,
                original: word,
                current: word,
                warm: false,
            }));
        }
        Ok(self.keep_slot(Slot { account: self.me, key: *key, original: ZERO, current: ZERO, warm: false }))
    }

    #[inline(never)]
    fn ask_for_slot(&mut self, frame: &mut Frame, key: &U256) -> Answer<u32> {
        mailbox().words[0] = self.journal.at(self.me).address;
        mailbox().words[1] = *key;
        host_call(frame, SLOT)?;
        Ok(self.add_slot(self.me, *key))
    }

    /// Take a slot over from the mailbox.
    pub(super) fn add_slot(&mut self, account: u32, key: U256) -> u32 {
        let [original, current, ..] = mailbox().words;
        let [is_warm, absent_bits, ..] = mailbox().numbers;
        if let Some(storage) = self.journal.at(account).storage {
            self.stored.keep(storage, key, original);
            if absent_bits > 0 {
                self.stored.keep_absent(storage, key, absent_bits as usize);
            }
        }
        self.keep_slot(Slot { account, key, original, current, warm: is_warm != 0 })
    }

    fn keep_slot(&mut self, slot: Slot) -> u32 {
        let at = self.journal.slots.len() as u32;
        self.journal.at(slot.account).slots.insert(Key(slot.key), at);
        self.journal.slots.push(slot);
        at
    }

    pub(super) fn is_precompile(&self, address: &U256) -> bool {
        let limbs = address.as_limbs();
        if limbs[1] != 0 || limbs[2] & 0xffff_ffff != 0 {
            return false;
        }
        match limbs[0] {
            P256 => self.p256,
            number @ 0..64 => self.precompiles >> number & 1 == 1,
            _ => false,
        }
    }
}

/// Fetch bytes that the host has ready.
pub fn take(frame: &mut Frame, size: usize) -> Answer<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| NO_ROOM)?;
    bytes.resize(size, 0);
    if size > 0 {
        mailbox().numbers[0] = bytes.as_mut_ptr() as u64;
        host_call(frame, TAKE)?;
    }
    Ok(bytes)
}
