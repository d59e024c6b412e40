//! The marker of EVM contracts: its code CID says "this actor is an Ethereum contract", and the machine runs such
//! actors in its EVM runtime. The module itself never runs there; run natively it refuses, with a sentence.

use fvm_shared::error::ExitCode;

#[unsafe(no_mangle)]
pub extern "C" fn invoke(_params: u32) -> u32 {
    fvm_sdk::vm::abort(
        ExitCode::USR_ASSERTION_FAILED.value(),
        Some("this code CID marks Ethereum contracts: an EVM runtime has to run them"),
    )
}
