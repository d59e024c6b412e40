//! What sectors and faults cost, out of the network's estimates of reward and power. Divisions round down.

use std::sync::LazyLock;

use actor_runtime::estimate::Estimate;
use actor_runtime::fixed::{DIGITS, Polynomial, constant, multiply, whole};
use actor_runtime::policy::DAY;
use fvm_shared::bigint::{BigInt, Integer};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

/// Epochs of expected reward that a sector's pledge, and a day of a continued fault, are worth.
const PLEDGE_PROJECTION: ChainEpoch = 20 * DAY;
const FAULT_PROJECTION: ChainEpoch = DAY * 351 / 100;
/// Tenths of the circulating supply that all pledges together aim at.
const LOCK_TARGET: u32 = 3;
/// Thousandths of that part of the pledge which follows the baseline, before the ramp and what the ramp takes off.
const BASELINE_SHARE: i64 = 1000;
const RAMP: i64 = 300;
/// A pledge is at most 1 FIL for each 32 GiB.
const LARGEST_PLEDGE_BYTES: u64 = 32 << 30;
/// Days after which a sector's termination costs the full fee.
const FULL_FEE_AGE: ChainEpoch = 140 * DAY;
/// The daily fee of a byte: this part of the circulating supply, and at most half of a day's expected reward.
const DAILY_FEE: u64 = 161_817;
const DAILY_FEE_PARTS: u128 = 10u128.pow(30);
const DAILY_FEE_CAP: u64 = 2;

/// ln(x) for x of 1 to 2, as a quotient of polynomials, and ln(2).
static LN_NUMERATOR: LazyLock<Polynomial> = LazyLock::new(|| {
    Polynomial::new(&[
        "261417938209272870992496419296200268025",
        "7266615505142943436908456158054846846897",
        "32458783941900493142649393804518050491988",
        "17078670566130897220338060387082146864806",
        "-35150353308172866634071793531642638290419",
        "-20351202052858059355702509232125230498980",
        "-1563932590352680681114104005183375350999",
    ])
});
static LN_DENOMINATOR: LazyLock<Polynomial> = LazyLock::new(|| {
    Polynomial::new(&[
        "49928077726659937662124949977867279384",
        "2508163877009111928787629628566491583994",
        "21757751789594546643737445330202599887121",
        "53400635271583923415775576342898617051826",
        "41248834748603606604000911015235164348839",
        "9015227820322455780436733526367238305537",
        "340282366920938463463374607431768211456",
    ])
});
static LN_2: LazyLock<BigInt> = LazyLock::new(|| constant("235865763225513294137944142764154484399"));
/// Below this square of a velocity the network's power is taken to stand still.
static STANDSTILL: LazyLock<BigInt> = LazyLock::new(|| constant("302231454903657293676544"));

/// The network as the reward and the power actor see it.
pub struct Network {
    pub reward: Estimate,
    pub baseline: BigInt,
    pub power: Estimate,
    pub supply: TokenAmount,
    /// Epochs since the ramp began, and its length.
    pub ramp_age: ChainEpoch,
    pub ramp_epochs: u64,
}

/// The reward that power is expected to earn over some epochs; a whole epoch's where the network has no power.
pub fn expected_reward(reward: &Estimate, network: &Estimate, power: &BigInt, epochs: ChainEpoch) -> TokenAmount {
    if (&network.position >> DIGITS).is_zero() {
        return TokenAmount::from_atto(&reward.position >> DIGITS);
    }
    let share = power * sum_of_ratio(reward, network, epochs);
    TokenAmount::from_atto((share >> DIGITS).max(BigInt::zero()))
}

/// The sum over some epochs from now on of one estimate divided by another, Q.128.
fn sum_of_ratio(above: &Estimate, below: &Estimate, epochs: ChainEpoch) -> BigInt {
    let time = whole(epochs);
    let squared = multiply(&below.velocity, &below.velocity);
    if squared <= *STANDSTILL {
        let middle = multiply(&above.velocity, &(&time >> 1)) + &above.position;
        return (middle * time).div_floor(&below.position);
    }
    let first = logarithm(&below.position);
    let last = logarithm(&(multiply(&below.velocity, &time) + &below.position));
    let of_position = ((&last - &first) * &above.position * &below.velocity) >> DIGITS;
    let of_velocity = (((first - last) * &below.position + &below.velocity * time) * &above.velocity) >> DIGITS;
    (of_velocity + of_position).div_floor(&squared)
}

fn logarithm(x: &BigInt) -> BigInt {
    let power = x.bits() as i64 - 1 - i64::from(DIGITS);
    let normal = if power > 0 { x >> power } else { x << -power };
    LN_NUMERATOR.over(&LN_DENOMINATOR, &normal) + power * &*LN_2
}

/// The pledge for new power, adjusted by quality.
pub fn initial_pledge(network: &Network, power: &BigInt) -> TokenAmount {
    let storage = expected_reward(&network.reward, &network.power, power, PLEDGE_PROJECTION);
    let storage = storage.max(TokenAmount::from_atto(1));
    let skew = match network.ramp_age {
        before if before < 0 => 0,
        age if network.ramp_epochs == 0 || age >= network.ramp_epochs as i64 => RAMP,
        age => age * RAMP / network.ramp_epochs as i64,
    };
    let smoothed = &network.power.position >> DIGITS;
    let simple = smoothed.clone().max(power.clone());
    let baseline = smoothed.max(network.baseline.clone()).max(power.clone());
    let target = network.supply.atto() * LOCK_TARGET * power;
    let part = |share: i64, of: BigInt| (share * &target).div_floor(&(of * 10 * BASELINE_SHARE));
    let consensus = part(BASELINE_SHARE - skew, baseline) + part(skew, simple);
    let most = TokenAmount::from_whole(1).div_floor(LARGEST_PLEDGE_BYTES).atto() * power;
    (storage + TokenAmount::from_atto(consensus)).min(TokenAmount::from_atto(most))
}

/// What power that stays faulty costs each day.
pub fn fault_fee(reward: &Estimate, network: &Estimate, power: &BigInt) -> TokenAmount {
    expected_reward(reward, network, power, FAULT_PROJECTION)
}

/// What it costs that a sector of an age ends early: 8.5 % of its pledge, less for a young one, but not below 2 % nor
/// 1.05 days of a continued fault.
pub fn termination_fee(pledge: &TokenAmount, age: ChainEpoch, fault_fee: &TokenAmount) -> TokenAmount {
    let full = (pledge * 85u32).div_floor(1000u32);
    let by_age = (&full * age).div_floor(FULL_FEE_AGE);
    let least = (pledge * 2u32).div_floor(100u32).max((fault_fee * 105u32).div_floor(100u32));
    full.min(by_age).max(least)
}

/// The highest that `termination_fee` becomes for a pledge.
pub fn largest_termination_fee(pledge: &TokenAmount, fault_fee: &TokenAmount) -> TokenAmount {
    termination_fee(pledge, FULL_FEE_AGE, fault_fee)
}

/// What a sector costs each day, fixed when it is activated.
#[cfg(any(feature = "development-power", feature = "v19"))]
pub fn daily_fee(supply: &TokenAmount, power: &BigInt) -> TokenAmount {
    TokenAmount::from_atto((supply.atto() * DAILY_FEE * power).div_floor(&BigInt::from(DAILY_FEE_PARTS)))
}

/// What is taken of a deadline's daily fee, given what its power is expected to earn in a day.
pub fn payable_daily_fee(fee: &TokenAmount, day_reward: &TokenAmount) -> TokenAmount {
    day_reward.div_floor(DAILY_FEE_CAP).min(fee.clone())
}
