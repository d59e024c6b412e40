//! The placeholder at an Ethereum address that nobody has used yet: it accepts every call and does nothing.

#![no_std]

#[unsafe(no_mangle)]
pub extern "C" fn invoke(_params: u32) -> u32 {
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
