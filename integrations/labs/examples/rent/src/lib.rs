//! The native twin of Tenant.sol: keeps chunks of bytes, each a block of its own, and calls whom it is asked to call,
//! which is how it pays the rent of the lab `rent`.

use cid::Cid;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, DAG_CBOR, from_slice, strict_bytes, to_vec};
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::sys::SendFlags;
use fvm_shared::{IPLD_RAW, METHOD_CONSTRUCTOR};

const KEEP: u64 = 2;
const FORWARD: u64 = 3;
const COUNT: u64 = 4;
const BLAKE2B_256: u64 = 0xb220;
const NO_ANSWER: u32 = 1_000;

#[derive(Default, Serialize_tuple, Deserialize_tuple)]
struct State {
    chunks: Vec<Cid>,
}

/// Bytes to keep, in a block of their own.
#[derive(Deserialize_tuple)]
struct KeepParams {
    #[serde(with = "strict_bytes")]
    chunk: Vec<u8>,
}

#[derive(Deserialize_tuple)]
struct ForwardParams {
    to: Address,
    method: u64,
    #[serde(with = "strict_bytes")]
    params: Vec<u8>,
    value: TokenAmount,
}

#[derive(Serialize_tuple)]
struct Answer {
    number: u64,
}

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    match fvm_sdk::message::method_number() {
        METHOD_CONSTRUCTOR => save(&State::default()),
        KEEP => keep(decode(params)),
        FORWARD => return answer(forward(decode(params))),
        COUNT => return answer(load().chunks.len() as u64),
        _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method"),
    }
    fvm_sdk::NO_DATA_BLOCK_ID
}

fn keep(params: KeepParams) {
    let mut state = load();
    let chunk = fvm_sdk::ipld::put(BLAKE2B_256, 32, IPLD_RAW, &params.chunk).expect("a chunk fits a block");
    state.chunks.push(chunk);
    save(&state);
}

/// The exit code of a call to somebody, whatever that is.
fn forward(params: ForwardParams) -> u64 {
    let block = Some(IpldBlock { codec: CBOR, data: params.params });
    match fvm_sdk::send::send(&params.to, params.method, block, params.value, None, SendFlags::empty()) {
        Ok(sent) => sent.exit_code.value().into(),
        Err(_) => NO_ANSWER.into(),
    }
}

fn decode<T: serde::de::DeserializeOwned>(params: u32) -> T {
    let Ok(Some(block)) = fvm_sdk::message::params_raw(params) else {
        abort(ExitCode::USR_ILLEGAL_ARGUMENT, "this method takes parameters")
    };
    from_slice(&block.data).unwrap_or_else(|_| abort(ExitCode::USR_SERIALIZATION, "these are not its parameters"))
}

fn answer(number: u64) -> u32 {
    fvm_sdk::ipld::put_block(DAG_CBOR, &to_vec(&Answer { number }).expect("a number is CBOR")).expect("it fits a block")
}

fn load() -> State {
    let root = fvm_sdk::sself::root().expect("the actor is there");
    from_slice(&fvm_sdk::ipld::get(&root).expect("the root's block exists")).expect("it is this actor's state")
}

fn save(state: &State) {
    let bytes = to_vec(state).expect("a state is CBOR");
    let root: Cid = fvm_sdk::ipld::put(BLAKE2B_256, 32, DAG_CBOR, &bytes).expect("the state fits a block");
    if fvm_sdk::sself::set_root(&root).is_err() {
        abort(ExitCode::USR_READ_ONLY, "no changes in a read-only call");
    }
}

fn abort(code: ExitCode, message: &str) -> ! {
    fvm_sdk::vm::abort(code.value(), Some(message))
}
