//! Methods by number, other than InvokeEVM: the EVM actor hands them to the contract's function
//! `handle_filecoin_method`, and makes its answer an exit code and a block.

use alloy_sol_types::SolCall;
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::CBOR;
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_shared::MethodNum;
use fvm_shared::error::ExitCode;

use crate::call::{INVOKE_EVM, decode_answer};
use crate::{CallError, Contract};

crate::sol! {
    function handle_filecoin_method(uint64 method, uint64 codec, bytes params) external returns (uint32 exit, uint64 answerCodec, bytes data);
}

/// The hook by which tokens and others tell a receiver (FRC-46).
pub const RECEIVE: MethodNum = method_hash!("Receive");
const NO_CODEC: u64 = 0;

impl Contract {
    /// Calls a method by its number, as any actor is called; the numbers are FRC-42's, from 2^24 on. Gives the block
    /// that the contract answered with.
    pub fn method(&self, number: MethodNum, params: Option<IpldBlock>) -> Result<Option<IpldBlock>, CallError> {
        assert!(number != INVOKE_EVM, "InvokeEVM takes calldata: use `call`");
        let response = self.send(number, params)?;
        if response.exit_code.is_success() {
            return Ok(response.return_data);
        }
        Err(CallError::exited(response.exit_code, response.return_data))
    }
}

/// The calldata by which a contract is asked for a method.
pub fn encode_call(number: MethodNum, params: Option<&IpldBlock>) -> Vec<u8> {
    let (codec, data) = params.map_or((NO_CODEC, Vec::new()), |block| (block.codec, block.data.clone()));
    handle_filecoin_methodCall { method: number, codec, params: data.into() }.abi_encode()
}

/// The method and the parameters in such calldata; None if another function is called.
pub fn decode_call(calldata: &[u8]) -> Option<(MethodNum, Option<IpldBlock>)> {
    let asked = handle_filecoin_methodCall::abi_decode_validate(calldata).ok()?;
    let block = IpldBlock { codec: asked.codec, data: asked.params.to_vec() };
    Some((asked.method, (block.codec != NO_CODEC).then_some(block)))
}

/// What a contract's handler returned, read as the EVM actor reads it: nothing at all is exit 0 without a block.
pub fn decode_return(data: &[u8]) -> Result<Option<IpldBlock>, CallError> {
    if data.is_empty() {
        return Ok(None);
    }
    let answer = decode_answer::<handle_filecoin_methodCall>(data)?;
    let block = match (answer.answerCodec, answer.data.is_empty()) {
        (NO_CODEC, true) => None,
        (CBOR, _) => Some(IpldBlock { codec: CBOR, data: answer.data.to_vec() }),
        (codec, _) => return Err(CallError::Answer(format!("a block with codec {codec}"))),
    };
    let exit = ExitCode::new(answer.exit);
    if exit.is_success() { Ok(block) } else { Err(CallError::exited(exit, block)) }
}

/// The answer of a handler.
pub fn encode_return(exit: ExitCode, block: Option<&IpldBlock>) -> Vec<u8> {
    let (codec, data) = block.map_or((NO_CODEC, Vec::new()), |block| (block.codec, block.data.clone()));
    let answer = handle_filecoin_methodReturn { exit: exit.value(), answerCodec: codec, data: data.into() };
    handle_filecoin_methodCall::abi_encode_returns(&answer)
}
