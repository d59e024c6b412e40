//! How a method fails: an exit code of its own choice, a sentence for people, and sometimes a block for the caller.

use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_shared::error::{ErrorNumber, ExitCode};

pub struct ActorError {
    pub code: ExitCode,
    pub message: String,
    pub data: Option<IpldBlock>,
}

impl ActorError {
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub fn illegal_argument(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_ILLEGAL_ARGUMENT, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_NOT_FOUND, message)
    }

    pub fn insufficient_funds(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_INSUFFICIENT_FUNDS, message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_FORBIDDEN, message)
    }

    pub fn illegal_state(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_ILLEGAL_STATE, message)
    }

    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_SERIALIZATION, message)
    }

    pub fn assertion_failed(message: impl Into<String>) -> Self {
        Self::new(ExitCode::USR_ASSERTION_FAILED, message)
    }

    pub fn unknown_method(method: u64) -> Self {
        Self::new(ExitCode::USR_UNHANDLED_MESSAGE, format!("this actor has no method {method}"))
    }

    /// A callee's non-zero exit, passed on. Codes of the system are not an actor's to use: a callee that broke off
    /// (4, 9, 11) becomes 23, any other one 24. The callee's return block goes along.
    pub fn from_callee(code: ExitCode, data: Option<IpldBlock>) -> Self {
        let own = match code {
            ExitCode::SYS_ILLEGAL_INSTRUCTION | ExitCode::SYS_ILLEGAL_EXIT_CODE | ExitCode::SYS_MISSING_RETURN => {
                ExitCode::USR_UNSPECIFIED
            }
            system if system.is_system_error() => ExitCode::USR_ASSERTION_FAILED,
            user => user,
        };
        Self { code: own, message: format!("the called actor exited with code {code}"), data }
    }

    /// A send that never reached its receiver: the syscall itself failed.
    pub fn from_send(error: ErrorNumber) -> Self {
        let code = match error {
            ErrorNumber::NotFound => ExitCode::USR_UNSPECIFIED,
            ErrorNumber::InsufficientFunds => ExitCode::USR_INSUFFICIENT_FUNDS,
            ErrorNumber::ReadOnly => ExitCode::USR_READ_ONLY,
            _ => ExitCode::USR_ASSERTION_FAILED,
        };
        Self::new(code, format!("send failed: error number {}", error as u32))
    }

    /// The same error, with what was being done in front.
    pub fn during(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl From<fvm_ipld_encoding::Error> for ActorError {
    fn from(error: fvm_ipld_encoding::Error) -> Self {
        Self::serialization(error.to_string())
    }
}

/// A map that cannot be read or written is broken state.
impl From<fvm_ipld_hamt::Error> for ActorError {
    fn from(error: fvm_ipld_hamt::Error) -> Self {
        Self::illegal_state(format!("map: {error}"))
    }
}

impl From<fvm_ipld_amt::Error> for ActorError {
    fn from(error: fvm_ipld_amt::Error) -> Self {
        Self::illegal_state(format!("array: {error}"))
    }
}
