//! A contract's functions: calldata goes out with the method InvokeEVM, return data comes back, each as one CBOR byte
//! string.

use alloy_sol_types::SolCall;
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::{BytesDe, BytesSer};
use fvm_shared::address::Address;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sys::SendFlags;
use fvm_shared::{MethodNum, Response};

use crate::{CallError, EthAddress};

/// The method that takes calldata.
pub const INVOKE_EVM: MethodNum = method_hash!("InvokeEVM");

/// A contract, and how it shall be called: by default without value, with all gas, and free to change state.
#[derive(Clone, Debug)]
pub struct Contract {
    address: Address,
    value: TokenAmount,
    gas_limit: Option<u64>,
    flags: SendFlags,
}

impl Contract {
    pub fn at(address: EthAddress) -> Self {
        Self::at_filecoin(address.to_filecoin())
    }

    /// By its id, its f2 or its f410 address.
    pub fn at_filecoin(address: Address) -> Self {
        Self { address, value: TokenAmount::default(), gas_limit: None, flags: SendFlags::empty() }
    }

    /// attoFIL that go along.
    pub fn with_value(self, value: TokenAmount) -> Self {
        Self { value, ..self }
    }

    /// Filecoin gas that the call may use at most. Without it a callee can use up what its caller needs to go on.
    pub fn with_gas_limit(self, limit: u64) -> Self {
        Self { gas_limit: Some(limit), ..self }
    }

    /// As Solidity's `view`: whoever changes anything below this call is refused.
    pub fn read_only(self) -> Self {
        Self { flags: SendFlags::READ_ONLY, ..self }
    }

    /// Calls a function. What the actor holds in memory of its own state is stale afterwards: the contract may have
    /// called back.
    pub fn call<C: SolCall>(&self, function: &C) -> Result<C::Return, CallError> {
        decode_answer::<C>(&self.call_raw(&function.abi_encode())?)
    }

    /// The same with bytes on both sides.
    pub fn call_raw(&self, calldata: &[u8]) -> Result<Vec<u8>, CallError> {
        let params = (!calldata.is_empty()).then(|| byte_string(calldata));
        returned(self.send(INVOKE_EVM, params)?)
    }

    pub(crate) fn send(&self, method: MethodNum, params: Option<IpldBlock>) -> Result<Response, CallError> {
        fvm_sdk::send::send(&self.address, method, params, self.value.clone(), self.gas_limit, self.flags)
            .map_err(CallError::NotSent)
    }
}

/// Return data by a function's types.
pub fn decode_answer<C: SolCall>(data: &[u8]) -> Result<C::Return, CallError> {
    C::abi_decode_returns_validate(data).map_err(|error| CallError::Answer(format!("{}: {error}", C::SIGNATURE)))
}

/// What a call with InvokeEVM returned. Contracts answer each call with a block, an empty one too: no block means that
/// an account or nobody was called, which Solidity's compiler rules out by looking at the code's size.
pub fn returned(response: Response) -> Result<Vec<u8>, CallError> {
    if !response.exit_code.is_success() {
        return Err(CallError::exited(response.exit_code, response.return_data));
    }
    response.return_data.map(content).ok_or(CallError::NoContract)
}

/// The content of a byte string; the block itself if it holds something else, as contracts see it too.
pub(crate) fn content(block: IpldBlock) -> Vec<u8> {
    match block.deserialize::<BytesDe>() {
        Ok(bytes) => bytes.into_vec(),
        Err(_) => block.data,
    }
}

pub(crate) fn byte_string(content: &[u8]) -> IpldBlock {
    IpldBlock::serialize_cbor(&BytesSer(content)).expect("bytes can be encoded").expect("and are a block")
}
