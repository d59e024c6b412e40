//! A token of FRC-46: who creates it gets the supply, and transfers call the receivers' hooks. All of its books are the
//! crate's (`frc46_token`), as are addresses, messages and the blockstore (`fvm_actor_utils`).

use cid::Cid;
use frc42_dispatch::match_method;
use frc46_token::token::Token;
use frc46_token::token::types::{MintReturn, TransferParams, TransferReturn};
use fvm_actor_utils::util::ActorRuntime;
use fvm_actor_utils::blockstore::Blockstore;
use fvm_actor_utils::syscalls::fvm_syscalls::FvmSyscalls;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, RawBytes, from_slice, to_vec};
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

type Runtime = ActorRuntime<FvmSyscalls, Blockstore>;

#[derive(Deserialize_tuple)]
struct ConstructorParams {
    owner: Address,
    supply: TokenAmount,
}

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    let runtime = Runtime::new_fvm_runtime();
    match_method!(fvm_sdk::message::method_number(), {
        "Constructor" => construct(&runtime, read(params)),
        "Name" => answer(&"Example"),
        "Symbol" => answer(&"EXA"),
        "Granularity" => answer(&1u64),
        "TotalSupply" => answer(&with_token(&runtime, |token| token.total_supply())),
        "Balance" => {
            let owner: Address = read(params);
            answer(&with_token(&runtime, |token| ok(token.balance_of(&owner))))
        }
        "Transfer" => transfer(&runtime, read(params)),
        _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method"),
    })
}

fn construct(runtime: &Runtime, params: ConstructorParams) -> u32 {
    if runtime.caller() != 1 {
        abort(ExitCode::USR_FORBIDDEN, "an actor is constructed once, by the init actor");
    }
    let mut state = ok(Token::<FvmSyscalls, Blockstore>::create_state(&runtime.blockstore));
    let mut token = Token::wrap(runtime, 1, &mut state);
    let operator = Address::new_id(runtime.actor_id());
    let empty = RawBytes::default;
    let mut hook = ok(token.mint(&operator, &params.owner, &params.supply, empty(), empty()));
    save(&mut token);
    let minted: MintReturn = {
        let intermediate = ok(hook.call(runtime));
        ok(token.mint_return(intermediate))
    };
    answer(&minted)
}

fn transfer(runtime: &Runtime, params: TransferParams) -> u32 {
    let root = ok(fvm_sdk::sself::root());
    let mut state = ok(Token::<FvmSyscalls, Blockstore>::load_state(&runtime.blockstore, &root));
    let mut token = Token::wrap(runtime, 1, &mut state);
    let from = Address::new_id(runtime.caller());
    let mut hook = ok(token.transfer(&from, &params.to, &params.amount, params.operator_data, RawBytes::default()));
    let saved = save(&mut token);
    let intermediate = ok(hook.call(runtime));
    if ok(fvm_sdk::sself::root()) != saved {
        ok(token.load_replace(&ok(fvm_sdk::sself::root())));
    }
    let moved: TransferReturn = ok(token.transfer_return(intermediate));
    answer(&moved)
}

fn with_token<T>(runtime: &Runtime, read: impl FnOnce(&Token<FvmSyscalls, Blockstore>) -> T) -> T {
    let root = ok(fvm_sdk::sself::root());
    let mut state = ok(Token::<FvmSyscalls, Blockstore>::load_state(&runtime.blockstore, &root));
    read(&Token::wrap(runtime, 1, &mut state))
}

fn save(token: &mut Token<FvmSyscalls, Blockstore>) -> Cid {
    let root = ok(token.flush());
    ok(fvm_sdk::sself::set_root(&root));
    root
}

// --- parameters, answers, aborts -------------------------------------------------------------------------------------

fn read<T: DeserializeOwned>(params: u32) -> T {
    match ok(fvm_sdk::message::params_raw(params)) {
        Some(block) => ok(from_slice(&block.data)),
        None => abort(ExitCode::USR_ILLEGAL_ARGUMENT, "this method takes parameters"),
    }
}

fn answer<T: Serialize>(value: &T) -> u32 {
    ok(fvm_sdk::ipld::put_block(CBOR, &ok(to_vec(value))))
}

fn ok<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| abort(ExitCode::USR_ILLEGAL_STATE, &error.to_string()))
}

fn abort(code: ExitCode, words: &str) -> ! {
    fvm_sdk::vm::abort(code.value(), Some(words))
}
