//! The state of a miner, and how its balance is divided: deposits, vesting funds and pledge are bound, the rest is free;
//! debt is owed on top of that.

use actor_runtime::{ActorError, array, map, store};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use fvm_shared::error::ExitCode;
use num_traits::Zero;

use crate::deadline::Deadlines;
use crate::info::Info;
use crate::sector::{SECTORS_BIT_WIDTH, Sector, Sectors};
use crate::vesting::VestingFunds;

const CLEANUP_BIT_WIDTH: u32 = 6;

/// The exit code where a miner holds less than what it has bound.
const BALANCE_BROKEN: ExitCode = ExitCode::new(1000);

#[derive(Serialize_tuple, Deserialize_tuple)]
pub struct State {
    info: Cid,
    pub deposits: TokenAmount,
    /// The sum of `vesting`.
    pub locked: TokenAmount,
    pub vesting: VestingFunds,
    pub debt: TokenAmount,
    pub pledge: TokenAmount,
    /// HAMT from sector number to what was promised before the proof.
    pub precommitted: Cid,
    /// AMT from epoch to the sectors whose promise is broken then.
    pub precommit_cleanup: Cid,
    /// A bitfield: sector numbers are never used twice.
    pub allocated: Cid,
    pub sectors: Cid,
    /// When the proving period begins. With no event running it may be one of the past.
    pub period_start: ChainEpoch,
    pub current_deadline: u64,
    deadlines: Cid,
    /// Deadlines with sectors whose early end is not paid for yet.
    pub early_terminations: BitField,
    /// Whether the power actor calls at the end of each deadline.
    pub has_event: bool,
}

impl State {
    pub fn new(info: &Info, period_start: ChainEpoch, current_deadline: u64) -> Result<Self, ActorError> {
        Ok(Self {
            info: store::put_object(info)?,
            deposits: TokenAmount::zero(),
            locked: TokenAmount::zero(),
            vesting: VestingFunds::default(),
            debt: TokenAmount::zero(),
            pledge: TokenAmount::zero(),
            precommitted: map::empty::<()>().flush()?,
            precommit_cleanup: array::empty::<BitField>(CLEANUP_BIT_WIDTH).flush()?,
            allocated: store::put_object(&BitField::new())?,
            sectors: array::empty::<Sector>(SECTORS_BIT_WIDTH).flush()?,
            period_start,
            current_deadline,
            deadlines: store::put_object(&Deadlines::empty()?)?,
            early_terminations: BitField::new(),
            has_event: false,
        })
    }

    pub fn load() -> Result<Self, ActorError> {
        actor_runtime::state::load()
    }

    pub fn save(&self) -> Result<(), ActorError> {
        actor_runtime::state::save(self)
    }

    pub fn load_info(&self) -> Result<Info, ActorError> {
        store::get_object(&self.info)
    }

    pub fn save_info(&mut self, info: &Info) -> Result<(), ActorError> {
        self.info = store::put_object(info)?;
        Ok(())
    }

    pub fn load_deadlines(&self) -> Result<Deadlines, ActorError> {
        store::get_object(&self.deadlines)
    }

    pub fn save_deadlines(&mut self, deadlines: &Deadlines) -> Result<(), ActorError> {
        self.deadlines = store::put_object(deadlines)?;
        Ok(())
    }

    pub fn load_sectors(&self) -> Result<Sectors, ActorError> {
        Sectors::load(&self.sectors)
    }

    // --- the balance --------------------------------------------------------------------------------------------

    fn bound(&self) -> TokenAmount {
        &self.deposits + &self.locked + &self.pledge
    }

    /// What is not bound; 20 if the miner has bound more than it has.
    pub fn unlocked(&self, balance: &TokenAmount) -> Result<TokenAmount, ActorError> {
        let unlocked = balance - self.bound();
        if unlocked.is_negative() {
            return Err(ActorError::illegal_state(format!("{unlocked} FIL are free")));
        }
        Ok(unlocked)
    }

    /// What is not bound and not owed; negative for a miner in debt.
    pub fn available(&self, balance: &TokenAmount) -> Result<TokenAmount, ActorError> {
        Ok(self.unlocked(balance)? - &self.debt)
    }

    /// The last word of every method that moves money.
    pub fn check_balance(&self) -> Result<(), ActorError> {
        let parts = [&self.deposits, &self.locked, &self.pledge, &self.debt];
        if parts.iter().any(|part| part.is_negative()) || fvm_sdk::sself::current_balance() < self.bound() {
            return Err(ActorError::new(BALANCE_BROKEN, "the miner has bound more than it has"));
        }
        Ok(())
    }

    pub fn add_pledge(&mut self, change: &TokenAmount) -> Result<(), ActorError> {
        self.pledge += change;
        not_negative(&self.pledge, "the pledge")
    }

    // --- vesting ------------------------------------------------------------------------------------------------

    /// Locks an amount that vests over half a year; returns what has vested of earlier ones by now.
    pub fn lock(&mut self, amount: &TokenAmount, now: ChainEpoch) -> Result<TokenAmount, ActorError> {
        let vested = self.vesting.add(amount, now, self.period_start)?;
        self.locked -= &vested;
        not_negative(&self.locked, "the locked amount")?;
        self.locked += amount;
        Ok(vested)
    }

    /// Frees what has vested.
    pub fn vest(&mut self, now: ChainEpoch) -> Result<TokenAmount, ActorError> {
        if self.locked.is_zero() {
            return Ok(TokenAmount::zero());
        }
        let vested = self.vesting.take_vested(now)?;
        self.locked -= &vested;
        not_negative(&self.locked, "the locked amount")?;
        Ok(vested)
    }

    // --- debt ---------------------------------------------------------------------------------------------------

    pub fn owe(&mut self, amount: &TokenAmount) -> Result<(), ActorError> {
        not_negative(amount, "a penalty")?;
        self.debt += amount;
        Ok(())
    }

    /// Pays debt from what has vested, then from what vests next, then from what is free, as far as it goes. Returns
    /// what is to be burnt, and what was taken out of the vesting funds.
    pub fn repay_what_can_be(
        &mut self,
        now: ChainEpoch,
        balance: &TokenAmount,
    ) -> Result<(TokenAmount, TokenAmount), ActorError> {
        let mut taken = TokenAmount::zero();
        if !self.debt.is_zero() && !self.locked.is_zero() {
            let (vested, unvested) = self.vesting.take(&self.debt, now)?;
            taken = vested + unvested;
            self.locked -= &taken;
            not_negative(&self.locked, "the locked amount")?;
        }
        let burnt = self.unlocked(balance)?.min(self.debt.clone());
        self.debt -= &burnt;
        Ok((burnt, taken))
    }

    /// Pays all debt out of what is free, or fails with 19. Returns what is to be burnt.
    pub fn repay_all(&mut self, balance: &TokenAmount) -> Result<TokenAmount, ActorError> {
        let unlocked = self.unlocked(balance)?;
        if unlocked < self.debt {
            return Err(ActorError::insufficient_funds(format!("{unlocked} FIL do not pay a debt of {}", self.debt)));
        }
        Ok(std::mem::take(&mut self.debt))
    }
}

fn not_negative(amount: &TokenAmount, what: &str) -> Result<(), ActorError> {
    if amount.is_negative() {
        return Err(ActorError::illegal_state(format!("{what} is negative: {amount}")));
    }
    Ok(())
}
