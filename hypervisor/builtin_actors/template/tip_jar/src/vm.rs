//! What any actor needs: to be called, to read parameters, to keep its state, to emit events and to abort.

use cid::Cid;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::{CBOR, DAG_CBOR, from_slice, to_vec};
use fvm_sdk::error::StateUpdateError;
use fvm_shared::MethodNum;
use fvm_shared::error::ExitCode;
use fvm_shared::event::{ActorEvent, Entry, Flags};
#[cfg(feature = "v2")]
use fvm_shared::upgrade::UpgradeInfo;
use serde::Serialize;
use serde::de::DeserializeOwned;

const BLAKE2B_256: u64 = 0xb220;

/// Ends the call: nothing that it changed remains.
pub struct Abort {
    code: ExitCode,
    message: String,
}

impl Abort {
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<fvm_ipld_encoding::Error> for Abort {
    fn from(error: fvm_ipld_encoding::Error) -> Self {
        Self::new(ExitCode::USR_SERIALIZATION, error.to_string())
    }
}

/// A method answers with one block, or with none.
pub type Answer = Result<Option<IpldBlock>, Abort>;

pub fn answer<T: Serialize>(value: &T) -> Answer {
    Ok(Some(IpldBlock::serialize(CBOR, value)?))
}

/// A method's parameters: one block, or none.
pub struct Params(Option<IpldBlock>);

impl Params {
    pub fn expect_none(&self) -> Result<(), Abort> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(Abort::new(ExitCode::USR_ILLEGAL_ARGUMENT, "this method takes no parameters")),
        }
    }

    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Abort> {
        match &self.0 {
            None => Err(Abort::new(ExitCode::USR_ILLEGAL_ARGUMENT, "this method takes parameters")),
            Some(block) => Ok(block.deserialize()?),
        }
    }
}

/// Runs one call, and gives the handle of its return block (0 for none).
pub fn run(params: u32, dispatch: fn(MethodNum, Params) -> Answer) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    finish(dispatch(fvm_sdk::message::method_number(), given(params)))
}

/// Runs the call that this code gets when it takes another one's place; gives the handle of its return block.
#[cfg(feature = "v2")]
pub fn run_upgrade(params: u32, info: u32, take_over: fn(Params, UpgradeInfo) -> Answer) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    finish(given(info).decode().and_then(|info| take_over(given(params), info)))
}

fn given(handle: u32) -> Params {
    Params(fvm_sdk::message::params_raw(handle).expect("the handle is that of a block of this call"))
}

fn finish(answer: Answer) -> u32 {
    match answer {
        Ok(None) => fvm_sdk::NO_DATA_BLOCK_ID,
        Ok(Some(block)) => fvm_sdk::ipld::put_block(block.codec, &block.data).expect("the answer fits a block"),
        Err(Abort { code, message }) => fvm_sdk::vm::abort(code.value(), Some(&message)),
    }
}

/// Reads the state block behind the state root.
pub fn load<S: DeserializeOwned>() -> Result<S, Abort> {
    let root = fvm_sdk::sself::root().map_err(|_| Abort::new(ExitCode::USR_ILLEGAL_STATE, "there is no state"))?;
    let block = fvm_sdk::ipld::get(&root).expect("the root's block exists");
    Ok(from_slice(&block)?)
}

/// Writes a state block and makes it the root.
pub fn save<S: Serialize>(state: &S) -> Result<(), Abort> {
    let root: Cid = fvm_sdk::ipld::put(BLAKE2B_256, 32, DAG_CBOR, &to_vec(state)?).expect("the state fits a block");
    fvm_sdk::sself::set_root(&root).map_err(|error| match error {
        StateUpdateError::ReadOnly => Abort::new(ExitCode::USR_READ_ONLY, "no changes in a read-only call"),
        StateUpdateError::ActorDeleted => Abort::new(ExitCode::USR_ILLEGAL_STATE, "this actor is deleted"),
    })
}

/// An event in the form of native actors: `$type` names it, all values are CBOR.
pub fn emit(kind: &str, values: &[(&str, Vec<u8>)]) -> Result<(), Abort> {
    let entry = |key: &str, value| Entry { flags: Flags::FLAG_INDEXED_ALL, key: key.into(), codec: CBOR, value };
    let mut entries = vec![entry("$type", to_vec(kind)?)];
    entries.extend(values.iter().map(|(key, value)| entry(key, value.clone())));
    fvm_sdk::event::emit_event(&ActorEvent::from(entries))
        .map_err(|_| Abort::new(ExitCode::USR_ASSERTION_FAILED, "the event was refused"))
}
