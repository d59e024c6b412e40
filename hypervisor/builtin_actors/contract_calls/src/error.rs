//! How the call of a contract fails, and what it says of that.

use std::fmt;

use alloy_sol_types::{ContractError, GenericContractError, Revert, SolError, SolInterface};
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_shared::error::{ErrorNumber, ExitCode};

use crate::call::content;

/// The exit code of a contract that reverts.
pub const REVERTED: ExitCode = ExitCode::new(33);

/// Characters of a contract's own words that are shown. What is shown ends up in events and messages, and an event that
/// is too large aborts its actor: the callee would decide that.
const MOST_SHOWN: usize = 256;

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CallError {
    /// The send was refused: no such actor, not enough funds, too deep, read-only.
    NotSent(ErrorNumber),
    /// Somebody was called who answers nothing at all: no contract.
    NoContract,
    /// The contract reverted, with this revert data.
    Reverted(Vec<u8>),
    /// Any other exit code than 0, with the data that came along: a handler's own choice, out of gas, a bad opcode.
    Exited(ExitCode, Vec<u8>),
    /// The answer is not what the ABI promises.
    Answer(String),
}

impl CallError {
    pub(crate) fn exited(code: ExitCode, block: Option<IpldBlock>) -> Self {
        let data = block.map(content).unwrap_or_default();
        if code == REVERTED { Self::Reverted(data) } else { Self::Exited(code, data) }
    }

    /// Revert data, of a contract that reverted.
    pub fn revert_data(&self) -> Option<&[u8]> {
        match self {
            Self::Reverted(data) => Some(data),
            _ => None,
        }
    }

    /// The contract's own error, if it reverted with that one.
    pub fn custom<E: SolError>(&self) -> Option<E> {
        E::abi_decode_validate(self.revert_data()?).ok()
    }

    /// Whichever it is of an interface's errors (`IName::INameErrors`), or one of Solidity's own two.
    pub fn of_interface<E: SolInterface>(&self) -> Option<ContractError<E>> {
        ContractError::abi_decode_validate(self.revert_data()?).ok()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(number) => write!(to, "the call was not sent: error number {}", *number as u32),
            Self::NoContract => write!(to, "there is no contract to call"),
            Self::Reverted(data) => write!(to, "the contract reverted: {}", cut(reason(data))),
            Self::Exited(code, _) => write!(to, "the contract exited with code {}", code.value()),
            Self::Answer(why) => write!(to, "the answer cannot be read: {}", cut(why.clone())),
        }
    }
}

/// Solidity's `Error(string)` and `Panic(uint256)` in words, other data in hex.
fn reason(data: &[u8]) -> String {
    match GenericContractError::abi_decode_validate(data) {
        Ok(ContractError::Revert(Revert { reason })) => reason,
        Ok(ContractError::Panic(panic)) => panic.to_string(),
        _ if data.is_empty() => "without data".to_string(),
        _ => data.iter().take(MOST_SHOWN).map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
