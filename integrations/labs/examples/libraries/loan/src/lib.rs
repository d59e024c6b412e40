//! What a loan grows to, by the year or continuously.

#[path = "../../abi.rs"]
mod abi;

use abi::{INVOKE_EVM, abort, answer, call};
use fvm_shared::METHOD_CONSTRUCTOR;
use fvm_shared::error::ExitCode;

#[cfg(feature = "copied")]
use fixed;

#[cfg(not(feature = "copied"))]
mod fixed {
    #[link(wasm_import_module = "lib:bafk2bzaceb7ckroswvqeqqqgfkgft4hfxxeffpzrl6xicjppbhup7g7jjotsi")]
    unsafe extern "C" {
        pub safe fn mul_div(a: u64, b: u64, d: u64) -> u64;
        pub safe fn power(base: u64, exponent: u64) -> u64;
        pub safe fn exp(x: u64) -> u64;
    }
}

const ONE: u64 = 1 << 32;
const BILLION: u64 = 1_000_000_000;
const OWED: [u8; 4] = [0xc8, 0xcd, 0x5c, 0xd5]; // owed(uint64,uint64,uint64)
const CONTINUOUSLY: [u8; 4] = [0x7d, 0xc5, 0xa9, 0xae]; // owedContinuously(uint64,uint64,uint64)

/// The VM's way in: the handle of the parameter block, 0 for none; answers the handle of the return block.
#[unsafe(no_mangle)]
pub extern "C" fn invoke(params: u32) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    match fvm_sdk::message::method_number() {
        METHOD_CONSTRUCTOR => fvm_sdk::NO_DATA_BLOCK_ID,
        INVOKE_EVM => {
            let (selector, arguments) = call(params);
            let [principal, rate, years] = arguments[..] else {
                abort(ExitCode::USR_ILLEGAL_ARGUMENT, "principal, rate (of a billion) and years are expected")
            };
            let rate = fixed::mul_div(rate, ONE, BILLION);
            let growth = match selector {
                OWED => fixed::power(ONE + rate, years),
                CONTINUOUSLY => fixed::exp(rate * years),
                _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such function"),
            };
            answer(fixed::mul_div(principal, growth, ONE))
        }
        _ => abort(ExitCode::USR_UNHANDLED_MESSAGE, "this actor has no such method"),
    }
}
