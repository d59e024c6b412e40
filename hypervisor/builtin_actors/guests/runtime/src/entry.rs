//! The way into a guest: one exported function `invoke`, made by `entrypoint!`, that turns a result into a return
//! block or an abort. A panic aborts with 24.

use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_sdk::NO_DATA_BLOCK_ID;
use fvm_shared::MethodNum;

use crate::ActorError;
use crate::params::Params;

/// One invocation: the method number and its parameters. All else is asked of the VM when it is needed.
pub struct Call {
    pub method: MethodNum,
    pub params: Params,
}

/// What a method answers: a block, or nothing at all (which is not CBOR null).
pub type Reply = Result<Option<IpldBlock>, ActorError>;

/// Runs `dispatch` on the current message and gives the handle of the return block, 0 for none.
pub fn run(params: u32, dispatch: fn(Call) -> Reply) -> u32 {
    fvm_sdk::vm::set_panic_handler();
    let block = fvm_sdk::message::params_raw(params).expect("the parameters are a block of this invocation");
    let call = Call { method: fvm_sdk::message::method_number(), params: Params(block) };
    match dispatch(call) {
        Ok(None) => NO_DATA_BLOCK_ID,
        Ok(Some(block)) => fvm_sdk::ipld::put_block(block.codec, &block.data).expect("a return block can be created"),
        Err(error) => fvm_sdk::vm::exit(error.code.value(), error.data, Some(&error.message)),
    }
}

/// Exports `invoke` over a function `fn(Call) -> Reply`.
#[macro_export]
macro_rules! entrypoint {
    ($dispatch:path) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn invoke(params: u32) -> u32 {
            $crate::entry::run(params, $dispatch)
        }
    };
}
