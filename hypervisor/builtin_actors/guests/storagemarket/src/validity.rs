//! What a deal has to keep to be published, as far as the market's state has no part in it.

use actor_runtime::account::has_signed;
use actor_runtime::piece::is_piece;
use actor_runtime::policy::{LONGEST_DEAL, PROVIDER_COLLATERAL_PERCENT, SHORTEST_DEAL};
use actor_runtime::send::send;
use actor_runtime::{ActorError, estimate, ids, params};
use fvm_ipld_encoding::to_vec;
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::bigint::{BigInt, Integer};
use fvm_shared::econ::TokenAmount;

use crate::deal::{Proposal, SignedProposal};

const REWARD_THIS_EPOCH_REWARD: MethodNum = 3;
const POWER_CURRENT_TOTAL_POWER: MethodNum = 9;

const LONGEST_LABEL: usize = 256;
/// FIL that no price or collateral can exceed.
const ALL_FILECOIN: u64 = 2_000_000_000;

/// What the network holds: the share of it decides a provider's least collateral.
pub struct Network {
    /// The greater of raw power and baseline, in bytes.
    power: BigInt,
    circulating_supply: TokenAmount,
}

impl Network {
    pub fn ask() -> Result<Self, ActorError> {
        let answer = send(&Address::new_id(ids::REWARD), REWARD_THIS_EPOCH_REWARD, None, TokenAmount::default())?;
        let reward: estimate::EpochReward = params::returned(answer)?;
        let answer = send(&Address::new_id(ids::POWER), POWER_CURRENT_TOTAL_POWER, None, TokenAmount::default())?;
        let total: estimate::TotalPower = params::returned(answer)?;
        Ok(Self {
            power: total.raw.max(reward.baseline_power),
            circulating_supply: fvm_sdk::network::total_fil_circ_supply(),
        })
    }

    fn least_collateral(&self, proposal: &Proposal) -> TokenAmount {
        let size = BigInt::from(proposal.size.0);
        let locked = self.circulating_supply.atto() * PROVIDER_COLLATERAL_PERCENT * &size;
        TokenAmount::from_atto(locked.div_floor(&((&self.power).max(&size) * 100u64)))
    }
}

/// Whether the client has signed the deal, just as it is, and all its terms are allowed.
pub fn is_valid(deal: &SignedProposal, network: &Network) -> Result<bool, ActorError> {
    let SignedProposal { proposal, signature } = deal;
    let signed = has_signed(&proposal.client, signature.bytes.clone(), to_vec(proposal)?)?;
    let everything = TokenAmount::from_whole(ALL_FILECOIN);
    let payable = |amount: &TokenAmount| !amount.is_negative() && *amount <= everything;
    Ok(signed
        && proposal.label.length() <= LONGEST_LABEL
        && proposal.size.validate().is_ok()
        && is_piece(&proposal.piece)
        && proposal.end > proposal.start
        && proposal.start >= fvm_sdk::network::curr_epoch()
        && (SHORTEST_DEAL..=LONGEST_DEAL).contains(&proposal.duration())
        && payable(&proposal.price_per_epoch)
        && payable(&proposal.client_collateral)
        && payable(&proposal.provider_collateral)
        && proposal.provider_collateral >= network.least_collateral(proposal))
}
