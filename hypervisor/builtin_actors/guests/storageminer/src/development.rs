//! Power without proofs, for networks of developers. No other network has these two methods, and an actor that is built
//! without the feature `development-power` answers 22 to them. All else is as if the sectors had been proven: pledge,
//! daily fee, claims, events; without a proof in each of their deadlines they become faulty.

use actor_runtime::event::Event;
use actor_runtime::policy::DAY;
use actor_runtime::{ActorError, Call, Reply, params, store};
use cid::Cid;
use cid::multihash::Multihash;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::bigint::BigInt;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::commcid::{FIL_COMMITMENT_SEALED, POSEIDON_BLS12_381_A1_FC1};
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::{RegisteredPoStProof, RegisteredSealProof, SectorNumber};
use num_traits::Zero;

use crate::claim::{Allocation, claim};
use crate::collateral::of_new_sectors;
use crate::economy::{Network, daily_fee};
use crate::info::Info;
use crate::network::{DEADLINE_EVENT, ask, enroll, update_pledge, update_power};
use crate::power::Power;
use crate::schedule::{DEADLINES, Window, quantum_of_deadline};
use crate::sector::{NEW_FLAGS, Sector, bits};
use crate::state::State;

/// Of one message.
const MOST_SECTORS: usize = 1000;
const LONGEST_LIFE: ChainEpoch = 1278 * DAY;

#[derive(Deserialize_tuple)]
struct CommitParams {
    /// For each new sector the allocations that it fulfils.
    sectors: Vec<Vec<Allocation>>,
    /// Of all of them.
    expiration: ChainEpoch,
}

/// Adds sectors that count as proven at once, in the deadline that is due last. Answers their numbers, bare.
pub fn commit_sectors(call: Call) -> Reply {
    let CommitParams { sectors: wanted, expiration } = call.params.decode()?;
    let now = fvm_sdk::network::curr_epoch();
    if wanted.is_empty() || wanted.len() > MOST_SECTORS {
        return Err(ActorError::illegal_argument(format!("a message commits 1 to {MOST_SECTORS} sectors")));
    }
    if expiration <= now || expiration - now > LONGEST_LIFE {
        return Err(ActorError::illegal_argument(format!("a sector cannot be committed to epoch {expiration}")));
    }
    let info = State::load()?.load_info()?;
    info.caller_must_control()?;
    let numbers = allocate(wanted.len() as u64)?;
    let verified = claim(&numbers, &wanted, expiration)?;
    let sectors = new_sectors(&numbers, verified, expiration, &info)?;
    activate(&sectors, &info)?;
    for (number, allocations) in numbers.iter().zip(&wanted) {
        announce(*number, allocations)?;
    }
    State::load()?.check_balance()?;
    params::reply(&numbers)
}

/// Takes the next sector numbers that were never used.
fn allocate(count: u64) -> Result<Vec<SectorNumber>, ActorError> {
    let mut state = State::load()?;
    let allocated: BitField = store::get_object(&state.allocated)?;
    let first = allocated.last().map_or(0, |last| last + 1);
    let numbers: Vec<SectorNumber> = (first..first + count).collect();
    state.allocated = store::put_object(&(&allocated | &bits(numbers.iter().copied())?))?;
    state.save()?;
    Ok(numbers)
}

fn new_sectors(
    numbers: &[SectorNumber],
    verified: Vec<BigInt>,
    expiration: ChainEpoch,
    info: &Info,
) -> Result<Vec<Sector>, ActorError> {
    let network = ask()?;
    let made = numbers.iter().zip(verified);
    let made = made.map(|(number, bytes)| new_sector(*number, bytes, expiration, info, &network));
    let mut sectors = made.collect::<Result<Vec<_>, _>>()?;
    let powers: Vec<BigInt> = sectors.iter().map(|sector| sector.power(info.sector_size).quality).collect();
    for (sector, pledge) in sectors.iter_mut().zip(of_new_sectors(&State::load()?, &powers, &network)?) {
        sector.pledge = pledge;
    }
    Ok(sectors)
}

/// A sector whose pledge is not settled yet.
fn new_sector(
    number: SectorNumber,
    verified: BigInt,
    expiration: ChainEpoch,
    info: &Info,
    network: &Network,
) -> Result<Sector, ActorError> {
    let now = fvm_sdk::network::curr_epoch();
    if verified > BigInt::from(info.sector_size as u64) {
        return Err(ActorError::illegal_argument("allocations do not fit into a sector"));
    }
    let verified_weight = verified * (expiration - now);
    let mut sector = Sector {
        number,
        seal_proof: seal_proof(info.proof),
        sealed: sealed_cid(number)?,
        deprecated_deals: Vec::new(),
        activation: now,
        expiration,
        deal_weight: BigInt::zero(),
        verified_weight,
        pledge: TokenAmount::zero(),
        day_reward: None,
        storage_pledge: None,
        power_epoch: now,
        replaced_day_reward: None,
        key: None,
        flags: NEW_FLAGS,
        daily_fee: TokenAmount::zero(),
    };
    sector.daily_fee = daily_fee(&network.supply, &sector.power(info.sector_size).quality);
    Ok(sector)
}

/// The seal of sectors that a miner's window PoSt speaks for.
fn seal_proof(proof: RegisteredPoStProof) -> RegisteredSealProof {
    match proof {
        RegisteredPoStProof::StackedDRGWindow8MiBV1P1 => RegisteredSealProof::StackedDRG8MiBV1P1,
        RegisteredPoStProof::StackedDRGWindow512MiBV1P1 => RegisteredSealProof::StackedDRG512MiBV1P1,
        RegisteredPoStProof::StackedDRGWindow32GiBV1P1 => RegisteredSealProof::StackedDRG32GiBV1P1,
        RegisteredPoStProof::StackedDRGWindow64GiBV1P1 => RegisteredSealProof::StackedDRG64GiBV1P1,
        _ => RegisteredSealProof::StackedDRG2KiBV1P1,
    }
}

/// What would commit to a replica, if there were one: different for each sector, and a number of the proofs' field.
fn sealed_cid(number: SectorNumber) -> Result<Cid, ActorError> {
    let mut digest =
        fvm_sdk::crypto::hash_blake2b(&[fvm_sdk::message::receiver(), number].map(u64::to_be_bytes).concat());
    digest[31] &= 0x3f;
    let hash = Multihash::wrap(POSEIDON_BLS12_381_A1_FC1, &digest).expect("a digest of 32 bytes fits");
    Ok(Cid::new_v1(FIL_COMMITMENT_SEALED, hash))
}

/// Puts proven sectors into a deadline, binds their pledge and claims their power.
fn activate(sectors: &[Sector], info: &Info) -> Result<(), ActorError> {
    let now = fvm_sdk::network::curr_epoch();
    let mut state = State::load()?;
    let window = Window::open_at(now, state.period_start);
    let index = (window.index + DEADLINES - 1) % DEADLINES;
    state.sectors = state.load_sectors()?.add(sectors)?;
    let mut deadlines = state.load_deadlines()?;
    let mut deadline = deadlines.load(index)?;
    let quantum = quantum_of_deadline(state.period_start, index);
    deadline.add(sectors, info.partition_sectors, info.sector_size, quantum)?;
    deadlines.save(index, &deadline)?;
    state.save_deadlines(&deadlines)?;

    let pledge: TokenAmount = sectors.iter().map(|sector| &sector.pledge).sum();
    let unlocked = state.unlocked(&fvm_sdk::sself::current_balance())?;
    if unlocked < pledge {
        return Err(ActorError::insufficient_funds(format!("the sectors take {pledge} FIL, {unlocked} are free")));
    }
    state.add_pledge(&pledge)?;
    let had_event = std::mem::replace(&mut state.has_event, true);
    state.save()?;
    let mut power = Power::default();
    for sector in sectors {
        power += &sector.power(info.sector_size);
    }
    update_power(&power)?;
    update_pledge(&pledge)?;
    if had_event { Ok(()) } else { enroll(window.last(), DEADLINE_EVENT) }
}

fn announce(sector: SectorNumber, allocations: &[Allocation]) -> Result<(), ActorError> {
    let event = Event::new("sector-activated").indexed("sector", &sector).indexed("unsealed-cid", &None::<Cid>);
    let pieces = allocations.iter();
    pieces.fold(event, |event, piece| event.indexed("piece-cid", &piece.data).field("piece-size", &piece.size.0)).emit()
}

/// Counts every partition of the open deadline as proven, for this proving period; answers how many. Faulty sectors stay
/// faulty.
pub fn prove_deadline(call: Call) -> Reply {
    call.params.expect_none()?;
    let mut state = State::load()?;
    state.load_info()?.caller_must_control()?;
    let index = Window::open_at(fvm_sdk::network::curr_epoch(), state.period_start).index;
    let mut deadlines = state.load_deadlines()?;
    let mut deadline = deadlines.load(index)?;
    let count = deadline.load_partitions()?.count();
    deadline.posted = bits(0..count)?;
    deadlines.save(index, &deadline)?;
    state.save_deadlines(&deadlines)?;
    state.save()?;
    params::reply(&count)
}
