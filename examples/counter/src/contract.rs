//! Calls from here to Ethereum contracts: the method InvokeEVM takes calldata and gives return data, each wrapped as
//! one CBOR byte string.

use frc42_dispatch::method_hash;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{BytesDe, BytesSer, strict_bytes};
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sys::SendFlags;
use serde::{Deserialize, Serialize};

/// The namespace of Ethereum addresses: the id of the Ethereum address manager.
const ETHEREUM: u64 = 10;
const INVOKE_EVM: MethodNum = method_hash!("InvokeEVM");

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EthAddress(#[serde(with = "strict_bytes")] pub [u8; 20]);

impl EthAddress {
    /// `ff`, eleven zeros and an id is that id; everything else is an f410 address.
    fn to_filecoin(self) -> Address {
        match self.0 {
            [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, id @ ..] => Address::new_id(u64::from_be_bytes(id)),
            bytes => Address::new_delegated(ETHEREUM, &bytes).expect("20 bytes are a legal subaddress"),
        }
    }
}

/// What came of a call. A revert is exit 33 with the revert data.
#[derive(Default, Serialize_tuple, Deserialize_tuple)]
pub struct Outcome {
    pub exit: i64,
    #[serde(with = "strict_bytes")]
    pub data: Vec<u8>,
}

pub fn invoke(contract: &EthAddress, calldata: Vec<u8>, value: TokenAmount) -> Outcome {
    let params = IpldBlock::serialize_cbor(&BytesSer(&calldata)).expect("bytes can be encoded");
    match fvm_sdk::send::send(&contract.to_filecoin(), INVOKE_EVM, params, value, None, SendFlags::empty()) {
        Ok(response) => Outcome { exit: response.exit_code.value().into(), data: unwrap(response.return_data) },
        Err(error) => Outcome { exit: -(error as i64), data: Vec::new() },
    }
}

/// The content of a byte string; the block itself if it holds something else; nothing if there is none.
fn unwrap(block: Option<IpldBlock>) -> Vec<u8> {
    let Some(block) = block else { return Vec::new() };
    match block.deserialize::<BytesDe>() {
        Ok(content) => content.into_vec(),
        Err(_) => block.data,
    }
}
