//! Code that users install, with the feature m2-native: anyone hands a module over, and anyone creates actors of it.
//!
//! Contracts may call exported numbers alone, so both methods have one beside the internal number.

use actor_runtime::{ActorError, Call, Reply, params, store};
use cid::Cid;
use frc42_dispatch::method_hash;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{IPLD_RAW, RawBytes};
use fvm_shared::MethodNum;

use crate::state::State;

pub const INSTALL_CODE: MethodNum = 4;
pub const INSTALL_CODE_EXPORTED: MethodNum = method_hash!("InstallCode");
pub const EXEC_EXPORTED: MethodNum = method_hash!("Exec");

#[derive(Deserialize_tuple)]
struct InstallCodeParams {
    code: RawBytes,
}

#[derive(Serialize_tuple)]
struct InstallCodeReturn {
    code_cid: Cid,
    /// Whether it is new here.
    installed: bool,
}

/// Keeps a module that the VM can compile, once.
pub fn install_code(call: Call) -> Reply {
    let InstallCodeParams { code } = call.params.decode()?;
    let code_cid = store::put(IPLD_RAW, code.bytes())?;
    let mut state: State = actor_runtime::state::load()?;
    let mut codes = state.installed()?;
    let installed = !codes.contains(&code_cid);
    if installed {
        fvm_sdk::actor::install_actor(&code_cid)
            .map_err(|_| ActorError::illegal_argument("the code is no module that the VM can compile"))?;
        codes.push(code_cid);
        state.set_installed(&codes)?;
        actor_runtime::state::save(&state)?;
    }
    params::reply(&InstallCodeReturn { code_cid, installed })
}
