//! The native twin of Relay.sol: does what a message asks, which is to post further messages by the outbox of the lab
//! `async`, to remember its number, and to fail if it should.

use cid::Cid;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, DAG_CBOR, RawBytes, from_slice, strict_bytes, to_vec};
use fvm_shared::METHOD_CONSTRUCTOR;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::sys::SendFlags;

const OUTBOX: u64 = 20;
const POST: u64 = 2;
const RUN: u64 = 2;
const RECEIPT: u64 = 4_000_000_000;
const BLAKE2B_256: u64 = 0xb220;

#[derive(Default, Serialize_tuple, Deserialize_tuple)]
struct State {
    numbers: Vec<u64>,
    receipts: Vec<Receipt>,
}

/// One message for the outbox: the parameters of its method `Post`, and what is paid with it.
#[derive(Deserialize_tuple)]
struct Post {
    #[serde(with = "strict_bytes")]
    params: Vec<u8>,
    value: TokenAmount,
}

#[derive(Deserialize_tuple)]
struct RunParams {
    number: u64,
    posts: Vec<Post>,
    fails: bool,
}

/// What became of a posted message.
#[derive(Serialize_tuple, Deserialize_tuple)]
struct Receipt {
    id: u64,
    exit_code: u32,
    gas_used: u64,
    returned: Option<RawBytes>,
}

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    match fvm_sdk::message::method_number() {
        METHOD_CONSTRUCTOR => save(&State::default()),
        RUN => run(decode(params)),
        RECEIPT => receipt(decode(params)),
        _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method"),
    }
    fvm_sdk::NO_DATA_BLOCK_ID
}

fn run(params: RunParams) {
    for post in params.posts {
        let block = Some(IpldBlock { codec: CBOR, data: post.params });
        // What the outbox refuses is not posted, and the others are all the same.
        let _ = fvm_sdk::send::send(&Address::new_id(OUTBOX), POST, block, post.value, None, SendFlags::empty());
    }
    let mut state = load();
    state.numbers.push(params.number);
    save(&state);
    if params.fails {
        abort(ExitCode::USR_ILLEGAL_STATE, "as asked");
    }
}

fn receipt(receipt: Receipt) {
    if fvm_sdk::message::caller() != OUTBOX {
        abort(ExitCode::USR_FORBIDDEN, "only the outbox sends receipts");
    }
    let mut state = load();
    state.receipts.push(receipt);
    save(&state);
}

fn decode<T: serde::de::DeserializeOwned>(params: u32) -> T {
    let Ok(Some(block)) = fvm_sdk::message::params_raw(params) else {
        abort(ExitCode::USR_ILLEGAL_ARGUMENT, "this method takes parameters")
    };
    from_slice(&block.data).unwrap_or_else(|_| abort(ExitCode::USR_SERIALIZATION, "these are not its parameters"))
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
