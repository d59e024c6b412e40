//! Arithmetic of 64-bit numbers with results in between of 128 bits, and of fixed-point numbers with 32 bits behind the
//! point. What has no result traps.

#![no_std]

#[cfg(feature = "library")]
#[panic_handler]
fn trap(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

const ONE: u128 = 1 << 32;

/// a * b / d, rounded down.
#[unsafe(no_mangle)]
pub extern "C" fn mul_div(a: u64, b: u64, d: u64) -> u64 {
    narrow(u128::from(a) * u128::from(b) / u128::from(d))
}

/// The square root of a * b, rounded down.
#[unsafe(no_mangle)]
pub extern "C" fn sqrt_product(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let mut low = 0u128;
    let mut high = 1u128 << 64;
    while high - low > 1 {
        let middle = (low + high) / 2;
        if middle * middle <= product {
            low = middle;
        } else {
            high = middle;
        }
    }
    narrow(low)
}

/// A fixed-point number to a whole power, rounded down at each step.
#[unsafe(no_mangle)]
pub extern "C" fn power(base: u64, exponent: u64) -> u64 {
    let (mut result, mut base, mut left) = (ONE, u128::from(base), exponent);
    while left > 0 {
        if left & 1 == 1 {
            result = (result * base) >> 32;
        }
        left >>= 1;
        if left > 0 {
            base = (base * base) >> 32;
        }
    }
    narrow(result)
}

/// e to a fixed-point power below 16, by its series.
#[unsafe(no_mangle)]
pub extern "C" fn exp(x: u64) -> u64 {
    let x = u128::from(x);
    assert!(x < 16 * ONE);
    let (mut sum, mut term, mut place) = (ONE, ONE, 1);
    while term > 0 {
        term = ((term * x) >> 32) / place;
        sum += term;
        place += 1;
    }
    narrow(sum)
}

fn narrow(wide: u128) -> u64 {
    match u64::try_from(wide) {
        Ok(number) => number,
        Err(_) => panic!(),
    }
}
