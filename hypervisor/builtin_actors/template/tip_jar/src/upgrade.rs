//! Other code for an actor that exists: address, balance and state stay. Only a network with the feature `upgrade-actor`
//! has the syscall.
//!
//! The first version, built with the feature `upgradable`, asks for it. The second one, built with `v2`, is entered at
//! `upgrade` before anything else: what it aborts with leaves the actor as it was, under the old code.

#[cfg(feature = "upgradable")]
pub use first::{UPGRADE, ask};

#[cfg(feature = "upgradable")]
mod first {
    use cid::Cid;
    use frc42_dispatch::method_hash;
    use fvm_ipld_encoding::tuple::*;
    use fvm_shared::MethodNum;
    use fvm_shared::address::Address;
    use fvm_shared::error::ExitCode;

    use crate::State;
    use crate::vm::{self, Abort, Answer};

    pub const UPGRADE: MethodNum = method_hash!("Upgrade");

    #[derive(Deserialize_tuple)]
    pub struct UpgradeParams {
        code: Cid,
    }

    /// Ends in the new code: where it takes the state over, this call is over, and its answer is that code's.
    pub fn ask(params: UpgradeParams) -> Answer {
        let state: State = vm::load()?;
        if Address::new_id(fvm_sdk::message::caller()) != state.owner {
            return Err(Abort::new(ExitCode::USR_FORBIDDEN, "only the owner upgrades"));
        }
        let reason = match fvm_sdk::actor::upgrade_actor(&params.code, None) {
            Ok(response) => format!("the new code refuses to take over: it exits with {}", response.exit_code.value()),
            Err(error) => format!("the upgrade is not possible: {error}"),
        };
        Err(Abort::new(ExitCode::USR_ILLEGAL_ARGUMENT, reason))
    }
}

#[cfg(feature = "v2")]
mod second {
    use fvm_ipld_encoding::tuple::*;
    use fvm_shared::address::Address;
    use fvm_shared::econ::TokenAmount;
    use fvm_shared::upgrade::UpgradeInfo;

    use crate::State;
    use crate::vm::{self, Answer, Params, answer};

    /// The state as the first version leaves it.
    #[derive(Deserialize_tuple)]
    struct FirstState {
        owner: Address,
        tips: u64,
        received: TokenAmount,
    }

    /// The VM's way in at an upgrade: the handles of the parameters and of what the VM says of it.
    #[unsafe(no_mangle)]
    pub extern "C" fn upgrade(params: u32, info: u32) -> u32 {
        vm::run_upgrade(params, info, take_over)
    }

    /// Answers the code that was there before. No note of the first version's tips is known.
    fn take_over(params: Params, info: UpgradeInfo) -> Answer {
        params.expect_none()?;
        let FirstState { owner, tips, received } = vm::load()?;
        vm::save(&State { owner, tips, received, last_note: String::new() })?;
        answer(&info.old_code_cid)
    }
}
