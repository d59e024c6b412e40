//! How much is minted for an epoch: a part that decays with time, and one that follows the network's growth along a
//! baseline. Q.128 throughout; the decay is six years' half-life.

use std::sync::LazyLock;

use actor_runtime::fixed::{DIGITS, Polynomial, constant, multiply, whole};
use fvm_shared::bigint::{BigInt, Integer};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::econ::TokenAmount;
use num_traits::Zero;

/// The baseline's growth each epoch: doubling each year.
static GROWTH: LazyLock<BigInt> = LazyLock::new(|| constant("340282591298641078465964189926313473653"));
/// The decay each epoch: ln(2) over six years of epochs.
static LAMBDA: LazyLock<BigInt> = LazyLock::new(|| constant("37396271439864487274534522888786"));
/// e^LAMBDA - 1.
static LAMBDA_GAIN: LazyLock<BigInt> = LazyLock::new(|| constant("37396273494747879394193016954629"));

/// e^-x as a quotient of polynomials, for x of 0 to 5.
static DECAY_NUMERATOR: LazyLock<Polynomial> = LazyLock::new(|| {
    Polynomial::new(&[
        "-648770010757830093818553637600",
        "67469480939593786226847644286976",
        "-3197587544499098424029388939001856",
        "89244641121992890118377641805348864",
        "-1579656163641440567800982336819953664",
        "17685496037279256458459817590917169152",
        "-115682590513835356866803355398940131328",
        "340282366920938463463374607431768211456",
    ])
});
static DECAY_DENOMINATOR: LazyLock<Polynomial> = LazyLock::new(|| {
    Polynomial::new(&[
        "1225524182432722209606361",
        "114095592300906098243859450",
        "5665570424063336070530214243",
        "194450132448609991765137938448",
        "5068267641632683791026134915072",
        "104716890604972796896895427629056",
        "1748338658439454459487681798864896",
        "23704654329841312470660182937960448",
        "259380097567996910282699886670381056",
        "2250336698853390384720606936038375424",
        "14978272436876548034486263159246028800",
        "72144088983913131323343765784380833792",
        "224599776407103106596571252037123047424",
        "340282366920938463463374607431768211456",
    ])
});

/// The baseline power of the next epoch.
pub fn next_baseline(power: &BigInt) -> BigInt {
    multiply(power, &GROWTH)
}

/// The power before the first epoch, one step below the baseline's first value.
pub fn before_baseline(first: u64) -> BigInt {
    (whole(whole(first)) / &*GROWTH) >> DIGITS
}

/// The network's own time: how far along the baseline's sum the network's sum has come, between two whole epochs.
pub fn network_time(epochs: ChainEpoch, power: &BigInt, realized: &BigInt, baseline: &BigInt) -> BigInt {
    if epochs == 0 {
        return BigInt::zero();
    }
    whole(epochs) - whole(baseline - realized).div_floor(power)
}

/// The reward of an epoch in which the network's time went from one place to another.
pub fn reward(
    epoch: ChainEpoch,
    time_before: &BigInt,
    time_after: &BigInt,
    simple_total: &TokenAmount,
    baseline_total: &TokenAmount,
) -> TokenAmount {
    let simple = multiply(&(simple_total.atto() * &*LAMBDA_GAIN), &decay(&(&*LAMBDA * epoch)));
    let grown = minted_by(time_after, baseline_total) - minted_by(time_before, baseline_total);
    TokenAmount::from_atto((simple + grown) >> DIGITS)
}

fn minted_by(time: &BigInt, total: &TokenAmount) -> BigInt {
    (whole(1) - decay(&multiply(time, &LAMBDA))) * total.atto()
}

fn decay(x: &BigInt) -> BigInt {
    DECAY_NUMERATOR.over(&DECAY_DENOMINATOR, x)
}
