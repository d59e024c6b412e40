//! What every guest of this bundle shares: the way in, parameters, caller checks, state, sends and errors.
//!
//! It leaves to the guests what their methods mean, and to `fvm_sdk` the syscalls. The rules that it keeps are those
//! of the official built-in actors: exit codes 16 to 26, parameters as CBOR, one state block of DAG-CBOR with a
//! blake2b-256 CID, method numbers below 2^24 reserved to built-in callers.
//!
//! A method always decodes first, then checks its caller, then acts: callers can see that order in the exit code.

pub mod account;
pub mod address;
pub mod array;
pub mod batch;
pub mod caller;
pub mod entry;
pub mod error;
pub mod estimate;
pub mod event;
pub mod fixed;
pub mod ids;
pub mod key;
pub mod kind;
pub mod map;
pub mod nested;
pub mod params;
pub mod piece;
pub mod policy;
pub mod receiver;
pub mod send;
pub mod state;
pub mod store;

pub use entry::{Call, Reply};
pub use error::ActorError;
pub use kind::Kind;
