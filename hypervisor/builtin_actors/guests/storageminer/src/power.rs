//! Power in bytes: as they are, and adjusted by quality, which makes bytes of verified clients count tenfold.

use std::ops::{AddAssign, Neg, SubAssign};

use actor_runtime::ActorError;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::bigint::{BigInt, bigint_ser};
use num_traits::{Signed, Zero};

#[derive(Clone, Default, PartialEq, Serialize_tuple, Deserialize_tuple)]
pub struct Power {
    #[serde(with = "bigint_ser")]
    pub raw: BigInt,
    #[serde(with = "bigint_ser")]
    pub quality: BigInt,
}

impl Power {
    pub fn is_zero(&self) -> bool {
        self.raw.is_zero() && self.quality.is_zero()
    }

    pub fn must_not_be_negative(&self) -> Result<(), ActorError> {
        if self.raw.is_negative() || self.quality.is_negative() {
            return Err(ActorError::illegal_state("power is negative"));
        }
        Ok(())
    }
}

impl AddAssign<&Power> for Power {
    fn add_assign(&mut self, other: &Power) {
        self.raw += &other.raw;
        self.quality += &other.quality;
    }
}

impl SubAssign<&Power> for Power {
    fn sub_assign(&mut self, other: &Power) {
        self.raw -= &other.raw;
        self.quality -= &other.quality;
    }
}

impl Neg for Power {
    type Output = Power;

    fn neg(self) -> Power {
        Power { raw: -self.raw, quality: -self.quality }
    }
}
