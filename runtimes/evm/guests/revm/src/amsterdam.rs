//! Amsterdam: what a transaction has accessed, for the block's access list (EIP-7928), and state gas (EIP-8037).

use crate::session::{Exit, Session};
use crate::wire::Write;
use revm::interpreter::{FrameInput, Gas, InstructionResult};
use revm::primitives::{Address, HashMap, U256};
use revm::state::{Account, TransactionId};

/// Return the gas that a call has spent; if it reverts, without what it has spent on new state.
pub fn spent(gas: &Gas, result: InstructionResult) -> u64 {
    let returned = if result.is_ok() { 0 } else { gas.tracker().state_gas_spilled() };
    gas.total_gas_spent() - returned
}

mod changed {
    pub const BALANCE: u32 = 1;
    pub const NONCE: u32 = 2;
    pub const CODE: u32 = 4;
}

impl Session {
    /// Return the accounts and slots that the transaction has accessed, also in frames that have failed, with what it has
    /// changed. `removed` are the accounts that it has removed or emptied, as they were before that.
    ///
    /// The journal keeps the transaction's number with them if a revert makes them cold.
    pub fn accesses(&self, id: TransactionId, removed: &[(Address, Account)]) -> Vec<u8> {
        let removed: HashMap<Address, &Account> = removed.iter().map(|(address, account)| (*address, account)).collect();
        let mut output = Vec::new();
        for (address, account) in &self.evm.ctx.journaled_state.inner.state {
            if account.transaction_id != id {
                continue;
            }
            let before = removed.get(address).copied();
            let (original, info) = (before.unwrap_or(account).original_info(), &account.info);
            let flag = |is_changed: bool, flag: u32| if is_changed { flag } else { 0 };
            let flags = flag(info.balance != original.balance, changed::BALANCE)
                | flag(info.nonce != original.nonce, changed::NONCE)
                | flag(info.code_hash != original.code_hash, changed::CODE);
            output.raw(address.as_slice());
            output.u32(flags);
            output.word(info.balance);
            output.u64(info.nonce);
            let code = info.code.as_ref().filter(|_| flags & changed::CODE != 0);
            output.data(code.map(|code| code.original_byte_slice()).unwrap_or_default());
            let slots = &before.unwrap_or(account).storage;
            let accessed = slots.iter().filter(|(_, slot)| slot.transaction_id == id);
            output.u32(accessed.clone().count() as u32);
            for (key, slot) in accessed {
                let word = if before.is_some() { U256::ZERO } else { slot.present_value };
                output.word(*key);
                output.word(word);
                output.u32((word != slot.original_value) as u32);
            }
        }
        output
    }

    /// Return the execution gas and the state gas that the first call of a transaction costs by itself (EIP-2780, EIP-8037):
    /// for its delegate and for a new account. Fails if a value is missing.
    pub fn first_call_gas(&mut self, input: &FrameInput, output: &mut Vec<u8>) -> Result<(u64, u64), Exit> {
        let cfg = &self.evm.ctx.cfg;
        if !cfg.enable_amsterdam_eip2780 {
            return Ok((0, 0));
        }
        let (new_account, warm) = (cfg.gas_params.new_account_state_gas(), cfg.gas_params.warm_storage_read_cost());
        let cold = warm + cfg.gas_params.cold_account_additional_cost();
        let journal = &mut self.evm.ctx.journaled_state;
        let (inner, database) = (&mut journal.inner, &mut journal.database);
        let (address, grows) = match input {
            FrameInput::Call(call) => (call.target_address, !call.value.get().is_zero()),
            FrameInput::Create(creation) => {
                let nonce = inner.state.get(&creation.caller()).map_or(0, |account| account.info.nonce);
                (creation.created_address(nonce), true)
            }
            FrameInput::Empty => return Ok((0, 0)),
        };
        let Ok(account) = inner.load_account(database, address) else { return Err(self.request(output)) };
        let state = if grows && account.info.is_empty() { new_account } else { 0 };
        let Some(delegate) = account.info.code.as_ref().and_then(|code| code.eip7702_address()) else {
            return Ok((0, state));
        };
        match inner.load_account(database, delegate) {
            Ok(loaded) => Ok((if loaded.is_cold { cold } else { warm }, state)),
            Err(_) => Err(self.request(output)),
        }
    }
}
