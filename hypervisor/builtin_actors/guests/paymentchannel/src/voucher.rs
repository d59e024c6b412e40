//! Vouchers: what one party has signed over to the other, off chain. A voucher names a lane and the amount redeemed on
//! it in total, so that the newest replaces all before.

use actor_runtime::account::has_signed;
use actor_runtime::send::send;
use actor_runtime::{ActorError, address};
use fvm_ipld_encoding::ipld_block::IpldBlock;
use fvm_ipld_encoding::tuple::*;
use fvm_ipld_encoding::{CBOR, RawBytes, strict_bytes, to_vec};
use fvm_shared::MethodNum;
use fvm_shared::address::Address;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::crypto::signature::Signature;
use fvm_shared::econ::TokenAmount;

use crate::state::{Lane, State, find_lane};

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct Voucher {
    channel: Address,
    /// The first and the last epoch of its validity; 0 as the last one means for ever.
    from_epoch: ChainEpoch,
    to_epoch: ChainEpoch,
    /// blake2b-256 of the secret that has to be shown; empty for none.
    #[serde(with = "strict_bytes")]
    secret_hash: Vec<u8>,
    /// A call that has to succeed.
    extra: Option<ExtraCall>,
    lane: u64,
    nonce: u64,
    amount: TokenAmount,
    min_settle_height: ChainEpoch,
    merges: Vec<Merge>,
    pub signature: Option<Signature>,
}

#[derive(Serialize_tuple, Deserialize_tuple)]
struct ExtraCall {
    actor: Address,
    method: MethodNum,
    data: RawBytes,
}

/// A lane whose redeemed amount is part of this voucher's.
#[derive(Serialize_tuple, Deserialize_tuple)]
struct Merge {
    lane: u64,
    nonce: u64,
}

impl Voucher {
    /// What is signed: the voucher with null in the signature's place, which is how `self` is without it.
    pub fn must_be_signed_by(&self, signer: &Address, signature: Vec<u8>) -> Result<(), ActorError> {
        if has_signed(signer, signature, to_vec(self)?)? {
            return Ok(());
        }
        Err(ActorError::illegal_argument("the voucher is not signed by the other party"))
    }

    pub fn must_be_valid_now(&self, secret: &[u8]) -> Result<(), ActorError> {
        if address::resolve(&self.channel) != Some(fvm_sdk::message::receiver()) {
            return Err(ActorError::illegal_argument(format!("the voucher is for the channel {}", self.channel)));
        }
        let now = fvm_sdk::network::curr_epoch();
        if now < self.from_epoch || (self.to_epoch != 0 && now > self.to_epoch) {
            return Err(ActorError::illegal_argument("the voucher is not valid in this epoch"));
        }
        if self.amount.is_negative() {
            return Err(ActorError::illegal_argument("the voucher's amount is negative"));
        }
        if !self.secret_hash.is_empty() && self.secret_hash != fvm_sdk::crypto::hash_blake2b(secret) {
            return Err(ActorError::illegal_argument("this is not the voucher's secret"));
        }
        Ok(())
    }

    pub fn make_extra_call(&self) -> Result<(), ActorError> {
        if let Some(extra) = &self.extra {
            let block = IpldBlock { codec: CBOR, data: extra.data.to_vec() };
            send(&extra.actor, extra.method, Some(block), TokenAmount::default())
                .map_err(|error| error.during("the voucher's call"))?;
        }
        Ok(())
    }

    /// Books what the voucher adds to what was redeemed before, on its own lane and on those that it merges.
    pub fn redeem(self, state: &mut State) -> Result<(), ActorError> {
        let mut lanes = state.load_lanes()?;
        let before = match find_lane(&lanes, self.lane)? {
            Some(lane) if lane.nonce >= self.nonce => {
                return Err(ActorError::illegal_argument(format!("the lane is at nonce {} already", lane.nonce)));
            }
            Some(lane) => lane.redeemed,
            None => TokenAmount::default(),
        };
        let mut redeemed = before;
        for merge in &self.merges {
            if merge.lane == self.lane {
                return Err(ActorError::illegal_argument("a lane cannot be merged into itself"));
            }
            let merged = find_lane(&lanes, merge.lane)?
                .ok_or_else(|| ActorError::illegal_argument(format!("there is no lane {} to merge", merge.lane)))?;
            if merged.nonce >= merge.nonce {
                return Err(ActorError::illegal_argument("a merged lane is further than the voucher says"));
            }
            redeemed += &merged.redeemed;
            lanes.set(merge.lane, Lane { nonce: merge.nonce, ..merged })?;
        }
        let owed = &state.owed + &self.amount - redeemed;
        if owed.is_negative() {
            return Err(ActorError::illegal_argument("the voucher takes back more than is owed"));
        }
        if owed > fvm_sdk::sself::current_balance() {
            return Err(ActorError::illegal_argument("the channel does not hold what the voucher is worth"));
        }
        state.owed = owed;
        self.delay_settlement(state);
        lanes.set(self.lane, Lane { redeemed: self.amount, nonce: self.nonce })?;
        state.save_lanes(lanes)
    }

    fn delay_settlement(&self, state: &mut State) {
        if self.min_settle_height == 0 {
            return;
        }
        if state.settling_at != 0 {
            state.settling_at = state.settling_at.max(self.min_settle_height);
        }
        state.min_settle_height = state.min_settle_height.max(self.min_settle_height);
    }
}
