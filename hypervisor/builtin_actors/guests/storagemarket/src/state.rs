//! The state of the market, and the working set of tables that a deal touches.

use actor_runtime::array::{self, Array};
use actor_runtime::map::{self, Map};
use actor_runtime::nested::NestedMap;
use actor_runtime::{ActorError, key};
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::{ChainEpoch, EPOCH_UNDEFINED};
use fvm_shared::deal::DealID;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;

use crate::balances::Balances;
use crate::deal::{DealState, Proposal};

const PROPOSALS_BIT_WIDTH: u32 = 5;
const STATES_BIT_WIDTH: u32 = 6;

/// The deal was there once.
pub const DEAL_EXPIRED: ExitCode = ExitCode::new(32);
/// The deal is not in a sector yet.
pub const DEAL_NOT_ACTIVATED: ExitCode = ExitCode::new(33);

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    /// AMT from a deal's id to its proposal, as long as it runs.
    proposals: Cid,
    /// AMT from a deal's id to its state, once it is activated.
    states: Cid,
    /// HAMT with the CIDs of proposals that were never settled: none may be published twice.
    pending: Cid,
    /// HAMTs from id address to attoFIL.
    escrow: Cid,
    locked: Cid,
    pub next_deal: DealID,
    /// HAMT from epoch to a HAMT with the deals that cron looks at then.
    schedule: Cid,
    /// The epoch that cron has come to.
    pub last_cron: ChainEpoch,
    client_collateral: TokenAmount,
    provider_collateral: TokenAmount,
    fees: TokenAmount,
    /// HAMT from a deal's id to its allocation's number, until it is activated.
    #[cfg(not(feature = "v19"))]
    allocations: Cid,
    /// HAMT from provider to a HAMT from sector to the deals in it.
    sectors: Cid,
}

/// What is locked in all deals together.
pub struct Totals {
    pub client_collateral: TokenAmount,
    pub provider_collateral: TokenAmount,
    pub fees: TokenAmount,
}

/// The tables that deals are in.
pub struct Deals {
    pub proposals: Array<Proposal>,
    pub states: Array<DealState>,
    pub pending: Map<()>,
    #[cfg(not(feature = "v19"))]
    allocations: Map<u64>,
    pub balances: Balances,
    pub totals: Totals,
    next_deal: DealID,
}

impl State {
    pub fn new() -> Result<Self, ActorError> {
        let empty = map::empty::<()>().flush()?;
        Ok(Self {
            proposals: array::empty::<Proposal>(PROPOSALS_BIT_WIDTH).flush()?,
            states: array::empty::<DealState>(STATES_BIT_WIDTH).flush()?,
            pending: empty,
            escrow: Balances::empty()?,
            locked: Balances::empty()?,
            next_deal: 0,
            schedule: empty,
            last_cron: EPOCH_UNDEFINED,
            client_collateral: TokenAmount::default(),
            provider_collateral: TokenAmount::default(),
            fees: TokenAmount::default(),
            #[cfg(not(feature = "v19"))]
            allocations: empty,
            sectors: empty,
        })
    }

    pub fn load_deals(&self) -> Result<Deals, ActorError> {
        Ok(Deals {
            proposals: array::load(&self.proposals)?,
            states: array::load(&self.states)?,
            pending: map::load(&self.pending)?,
            #[cfg(not(feature = "v19"))]
            allocations: map::load(&self.allocations)?,
            balances: self.load_balances()?,
            totals: Totals {
                client_collateral: self.client_collateral.clone(),
                provider_collateral: self.provider_collateral.clone(),
                fees: self.fees.clone(),
            },
            next_deal: self.next_deal,
        })
    }

    pub fn save_deals(&mut self, mut deals: Deals) -> Result<(), ActorError> {
        self.proposals = deals.proposals.flush()?;
        self.states = deals.states.flush()?;
        self.pending = deals.pending.flush()?;
        #[cfg(not(feature = "v19"))]
        {
            self.allocations = deals.allocations.flush()?;
        }
        self.client_collateral = deals.totals.client_collateral;
        self.provider_collateral = deals.totals.provider_collateral;
        self.fees = deals.totals.fees;
        self.save_balances(deals.balances)
    }

    pub fn load_balances(&self) -> Result<Balances, ActorError> {
        Balances::load(&self.escrow, &self.locked)
    }

    pub fn save_balances(&mut self, balances: Balances) -> Result<(), ActorError> {
        (self.escrow, self.locked) = balances.flush()?;
        Ok(())
    }

    pub fn load_schedule(&self) -> Result<Map<Cid>, ActorError> {
        map::load(&self.schedule)
    }

    pub fn save_schedule(&mut self, mut schedule: Map<Cid>) -> Result<(), ActorError> {
        self.schedule = schedule.flush()?;
        Ok(())
    }

    pub fn load_sectors(&self) -> Result<NestedMap<Vec<DealID>>, ActorError> {
        NestedMap::load(&self.sectors)
    }

    pub fn save_sectors(&mut self, sectors: NestedMap<Vec<DealID>>) -> Result<(), ActorError> {
        self.sectors = sectors.flush()?;
        Ok(())
    }

    pub fn load_proposals(&self) -> Result<Array<Proposal>, ActorError> {
        array::load(&self.proposals)
    }

    pub fn proposal(&self, deal: DealID) -> Result<Proposal, ActorError> {
        find(&self.load_proposals()?, deal, self.next_deal)
    }

    pub fn deal_state(&self, deal: DealID) -> Result<Option<DealState>, ActorError> {
        Ok(array::load::<DealState>(&self.states)?.get(deal)?.cloned())
    }
}

impl Deals {
    pub fn proposal(&self, deal: DealID) -> Result<Proposal, ActorError> {
        find(&self.proposals, deal, self.next_deal)
    }

    /// A deal that is over.
    pub fn remove(&mut self, deal: DealID) -> Result<(), ActorError> {
        self.states.delete(deal)?;
        self.proposals.delete(deal)?;
        Ok(())
    }

    pub fn is_pending(&self, proposal: &Proposal) -> Result<bool, ActorError> {
        Ok(self.pending.contains_key(&key::cid(&proposal.cid()?))?)
    }

    #[cfg(not(feature = "v19"))]
    pub fn keep_allocation(&mut self, deal: DealID, allocation: u64) -> Result<(), ActorError> {
        self.allocations.set(key::unsigned(deal), allocation)?;
        Ok(())
    }

    #[cfg(feature = "v19")]
    pub fn keep_allocation(&mut self, _: DealID, _: u64) -> Result<(), ActorError> {
        Ok(())
    }

    /// The number of a deal's allocation, which is kept no longer; 0 for none.
    #[cfg(not(feature = "v19"))]
    pub fn take_allocation(&mut self, deal: DealID) -> Result<u64, ActorError> {
        Ok(self.allocations.delete(&key::unsigned(deal))?.map_or(0, |(_, allocation)| allocation))
    }

    #[cfg(feature = "v19")]
    pub fn take_allocation(&mut self, _: DealID) -> Result<u64, ActorError> {
        Ok(0)
    }

    pub fn forget_pending(&mut self, proposal: &Proposal) -> Result<(), ActorError> {
        self.pending.delete(&key::cid(&proposal.cid()?))?;
        Ok(())
    }
}

/// 32 for a deal that is over, 17 for one that never was.
pub fn find(proposals: &Array<Proposal>, deal: DealID, next_deal: DealID) -> Result<Proposal, ActorError> {
    match proposals.get(deal)? {
        Some(proposal) => Ok(proposal.clone()),
        None if deal < next_deal => Err(ActorError::new(DEAL_EXPIRED, format!("deal {deal} is over"))),
        None => Err(ActorError::not_found(format!("there is no deal {deal}"))),
    }
}
