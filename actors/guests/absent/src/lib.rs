//! Stands in the manifest for a built-in actor that this bundle does not offer: every method answers 22.
//! It is built once for each such actor, with its name, so that each has a code CID of its own.

use fvm_shared::error::ExitCode;

const MESSAGE: &str = concat!("this bundle does not offer the ", env!("ABSENT_ACTOR"), " actor");

#[unsafe(no_mangle)]
pub extern "C" fn invoke(_params: u32) -> u32 {
    fvm_sdk::vm::abort(ExitCode::USR_UNHANDLED_MESSAGE.value(), Some(MESSAGE))
}
