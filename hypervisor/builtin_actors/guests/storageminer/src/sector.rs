//! Sectors, as the chain knows them, and what they weigh.

use actor_runtime::ActorError;
use actor_runtime::array::{self, Array};
use cid::Cid;
use fvm_ipld_bitfield::BitField;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::bigint::{BigInt, Integer, bigint_ser};
use fvm_shared::clock::ChainEpoch;
use fvm_shared::deal::DealID;
use fvm_shared::econ::TokenAmount;
use fvm_shared::sector::{RegisteredSealProof, SectorNumber, SectorSize};

use crate::power::Power;

pub const SECTORS_BIT_WIDTH: u32 = 5;

/// Binary digits of a quality after the point.
const QUALITY_DIGITS: u32 = 20;
/// Tenths that a byte-epoch counts: of anybody's data or none, and of a verified client's.
const PLAIN_WEIGHT: u32 = 10;
const VERIFIED_WEIGHT: u32 = 100;

/// Flags of a sector: its weights are of its whole life; it counts tenfold, whatever it holds (v19).
const WHOLE_LIFE: u32 = 1;
#[cfg(feature = "v19")]
const FULL_QUALITY: u32 = 2;
/// Those of a new sector.
#[cfg(not(feature = "v19"))]
pub const NEW_FLAGS: u32 = WHOLE_LIFE;
#[cfg(feature = "v19")]
pub const NEW_FLAGS: u32 = WHOLE_LIFE | FULL_QUALITY;

#[derive(Clone, Serialize_tuple, Deserialize_tuple)]
pub struct Sector {
    pub number: SectorNumber,
    pub seal_proof: RegisteredSealProof,
    pub sealed: Cid,
    pub deprecated_deals: Vec<DealID>,
    pub activation: ChainEpoch,
    pub expiration: ChainEpoch,
    /// Byte-epochs of deals, and of verified ones.
    #[serde(with = "bigint_ser")]
    pub deal_weight: BigInt,
    #[serde(with = "bigint_ser")]
    pub verified_weight: BigInt,
    pub pledge: TokenAmount,
    /// Of rules that are gone.
    pub day_reward: Option<TokenAmount>,
    pub storage_pledge: Option<TokenAmount>,
    /// Since when the sector has the power that it has.
    pub power_epoch: ChainEpoch,
    /// Of rules that are gone.
    pub replaced_day_reward: Option<TokenAmount>,
    /// The first sealed CID of a sector whose data was replaced.
    pub key: Option<Cid>,
    pub flags: u32,
    /// Sectors of earlier versions have none in their encoding.
    #[serde(default)]
    pub daily_fee: TokenAmount,
}

impl Sector {
    pub fn power(&self, size: SectorSize) -> Power {
        let raw = BigInt::from(size as u64);
        #[cfg(feature = "v19")]
        if self.is_of_full_quality() {
            return Power { quality: full_quality_power(size), raw };
        }
        let quality = quality_power(size, self.expiration - self.power_epoch, &self.verified_weight);
        Power { raw, quality }
    }

    #[cfg(feature = "v19")]
    pub fn is_of_full_quality(&self) -> bool {
        self.flags & FULL_QUALITY != 0
    }
}

/// The power of a sector that counts tenfold.
#[cfg(feature = "v19")]
pub fn full_quality_power(size: SectorSize) -> BigInt {
    (BigInt::from(size as u64) * VERIFIED_WEIGHT).div_floor(&BigInt::from(PLAIN_WEIGHT))
}

/// The power of a sector over a lifetime, adjusted by quality.
pub fn quality_power(size: SectorSize, lifetime: ChainEpoch, verified_weight: &BigInt) -> BigInt {
    let space_time = BigInt::from(size as u64) * lifetime;
    let weighted = (&space_time - verified_weight) * PLAIN_WEIGHT + verified_weight * VERIFIED_WEIGHT;
    let quality = (weighted << QUALITY_DIGITS).div_floor(&space_time).div_floor(&BigInt::from(PLAIN_WEIGHT));
    (BigInt::from(size as u64) * quality) >> QUALITY_DIGITS
}

/// All sectors that were ever proven, until they are compacted away.
pub struct Sectors(Array<Sector>);

impl Sectors {
    pub fn load(root: &Cid) -> Result<Self, ActorError> {
        Ok(Self(array::load(root)?))
    }

    pub fn get(&self, number: SectorNumber) -> Result<Option<&Sector>, ActorError> {
        Ok(self.0.get(number)?)
    }

    /// 17 for a sector that there is not.
    pub fn select(&self, numbers: &BitField) -> Result<Vec<Sector>, ActorError> {
        let find = |number| self.get(number)?.cloned().ok_or_else(|| not_found(number));
        numbers.iter().map(find).collect()
    }

    #[cfg(any(feature = "development-power", feature = "v19"))]
    pub fn add(&mut self, sectors: &[Sector]) -> Result<Cid, ActorError> {
        for sector in sectors {
            self.0.set(sector.number, sector.clone())?;
        }
        Ok(self.0.flush()?)
    }
}

pub fn not_found(number: SectorNumber) -> ActorError {
    ActorError::not_found(format!("there is no sector {number}"))
}

pub fn bits(numbers: impl IntoIterator<Item = u64>) -> Result<BitField, ActorError> {
    BitField::try_from_bits(numbers).map_err(|_| ActorError::illegal_state("a number is too large for a bitfield"))
}
