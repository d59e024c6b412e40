//! A pool of two amounts whose product does not fall: what comes on one side takes a part of the other.

#[path = "../../abi.rs"]
mod abi;

use abi::{INVOKE_EVM, abort, answer, call};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{DAG_CBOR, from_slice, to_vec};
use fvm_shared::METHOD_CONSTRUCTOR;
use fvm_shared::error::ExitCode;

#[cfg(feature = "copied")]
use fixed;

#[cfg(not(feature = "copied"))]
mod fixed {
    #[link(wasm_import_module = "lib:bafk2bzaceb7ckroswvqeqqqgfkgft4hfxxeffpzrl6xicjppbhup7g7jjotsi")]
    unsafe extern "C" {
        pub safe fn mul_div(a: u64, b: u64, d: u64) -> u64;
        pub safe fn sqrt_product(a: u64, b: u64) -> u64;
    }
}

const BLAKE2B_256: u64 = 0xb220;
const DEPOSIT: [u8; 4] = [0xd0, 0x0b, 0x78, 0x33]; // deposit(uint64,uint64)
const SWAP: [u8; 4] = [0xc0, 0xaf, 0x52, 0x2f]; // swap(uint64)

#[derive(Default, Serialize_tuple, Deserialize_tuple)]
struct State {
    first: u64,
    second: u64,
}

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    match fvm_sdk::message::method_number() {
        METHOD_CONSTRUCTOR => save(&State::default()),
        INVOKE_EVM => {
            let (selector, arguments) = call(params);
            return answer(match (selector, &arguments[..]) {
                (DEPOSIT, &[first, second]) => deposit(first, second),
                (SWAP, &[amount]) => swap(amount),
                _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such function"),
            });
        }
        _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method"),
    }
    fvm_sdk::NO_DATA_BLOCK_ID
}

/// Adds to both sides; answers the shares that it is worth.
fn deposit(first: u64, second: u64) -> u64 {
    let state = load();
    save(&State { first: state.first + first, second: state.second + second });
    fixed::sqrt_product(first, second)
}

/// Adds to the first side; answers what it takes of the second.
fn swap(amount: u64) -> u64 {
    let mut state = load();
    let taken = fixed::mul_div(state.second, amount, state.first + amount);
    state.first += amount;
    state.second -= taken;
    save(&state);
    taken
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
