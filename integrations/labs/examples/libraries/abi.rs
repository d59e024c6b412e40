// What both actors have in common: calls of contracts by Solidity's ABI, with arguments and answers that are uint64.

use fvm_ipld_encoding::IPLD_RAW;
use fvm_shared::error::ExitCode;

pub const INVOKE_EVM: u64 = 3_844_450_837;

/// The selector and the arguments of the call.
pub fn call(params: u32) -> ([u8; 4], Vec<u64>) {
    let Ok(Some(block)) = fvm_sdk::message::params_raw(params) else {
        abort(ExitCode::USR_ILLEGAL_ARGUMENT, "a call of a function has calldata")
    };
    if block.codec != IPLD_RAW {
        abort(ExitCode::USR_SERIALIZATION, "calldata are bytes as they are")
    }
    let Some((selector, words)) = block.data.split_first_chunk::<4>() else {
        abort(ExitCode::USR_ILLEGAL_ARGUMENT, "calldata begin with a selector")
    };
    (*selector, words.chunks(32).map(number).collect())
}

/// The block of an answer.
pub fn answer(number: u64) -> u32 {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    fvm_sdk::ipld::put_block(IPLD_RAW, &word).expect("an answer fits a block")
}

pub fn abort(code: ExitCode, message: &str) -> ! {
    fvm_sdk::vm::abort(code.value(), Some(message))
}

fn number(word: &[u8]) -> u64 {
    match word.split_last_chunk::<8>() {
        Some((high, low)) if high.len() == 24 && high.iter().all(|byte| *byte == 0) => u64::from_be_bytes(*low),
        _ => abort(ExitCode::USR_ILLEGAL_ARGUMENT, "an argument is no uint64"),
    }
}
