//! Calls that go deep on purpose: to itself, and to and fro between this actor and a contract.
//!
//! Each frame answers how many levels ran from itself downwards, and what ended the descent: 0 if the asked depth was
//! reached, else the exit code or (negative) error number of the call that failed.

use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use fvm_shared::sys::SendFlags;

use crate::RECURSE;
use crate::actor::{Abort, Answer, answer};
use crate::contract::{self, EthAddress};

/// The selector of `pong(uint64)`: the contract's side returns `(uint64 levels, int64 exit)`.
const PONG: [u8; 4] = [0xdc, 0x3c, 0x93, 0x9b];

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Descent {
    levels: u64,
    exit: i64,
}

#[derive(Deserialize_tuple)]
pub struct PingPongParams {
    contract: EthAddress,
    depth: u64,
}

/// Calls this same method of this same actor `depth` times, each call within the one before.
pub fn recurse(depth: u64) -> Answer {
    if depth == 0 {
        return here(0);
    }
    let own = Address::new_id(fvm_sdk::message::receiver());
    let rest = IpldBlock::serialize_cbor(&(depth - 1))?;
    match fvm_sdk::send::send(&own, RECURSE, rest, TokenAmount::default(), None, SendFlags::empty()) {
        Ok(response) if response.exit_code.is_success() => {
            let block =
                response.return_data.ok_or_else(|| Abort::new(ExitCode::USR_SERIALIZATION, "no answer from below"))?;
            below(block.deserialize()?)
        }
        Ok(response) => here(response.exit_code.value().into()),
        Err(error) => here(-(error as i64)),
    }
}

/// Calls the contract, which calls this method again, until `depth` calls are nested.
pub fn ping_pong(PingPongParams { contract, depth }: PingPongParams) -> Answer {
    if depth == 0 {
        return here(0);
    }
    let mut calldata = PONG.to_vec();
    calldata.extend_from_slice(&word(depth - 1));
    let outcome = contract::invoke(&contract, calldata, TokenAmount::default());
    match (outcome.exit, outcome.data.as_chunks::<32>().0) {
        (0, [levels, exit]) => below(Descent { levels: low_64(levels), exit: low_64(exit) as i64 }),
        (0, _) => Err(Abort::new(ExitCode::USR_SERIALIZATION, "the contract's answer is not two words")),
        (failure, _) => here(failure),
    }
}

/// The deepest frame's answer.
fn here(exit: i64) -> Answer {
    answer(&Descent { levels: 1, exit })
}

fn below(descent: Descent) -> Answer {
    answer(&Descent { levels: descent.levels + 1, ..descent })
}

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

/// Both answers fit 64 bits; a negative one is sign-extended, and its last eight bytes are the number.
fn low_64(word: &[u8; 32]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&word[24..]);
    u64::from_be_bytes(bytes)
}
