//! The marker of EVM contracts: its code CID says "this actor is an Ethereum contract", and its custom section names
//! the runtime that such actors run in. The module itself never runs there; run natively it refuses, with a sentence.

use fvm_shared::error::ExitCode;

#[used]
#[unsafe(link_section = "hypervisor.runtime")]
static RUNTIME: [u8; 3] = *b"evm";

#[unsafe(no_mangle)]
pub extern "C" fn invoke(_params: u32) -> u32 {
    fvm_sdk::vm::abort(
        ExitCode::USR_ASSERTION_FAILED.value(),
        Some("this code CID marks Ethereum contracts: an EVM runtime has to run them"),
    )
}
