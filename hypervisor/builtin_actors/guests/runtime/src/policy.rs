//! Times and limits that several actors keep. Where the official builds differ from network to network, these are the
//! numbers of their development networks ("testing").

use fvm_shared::clock::ChainEpoch;

/// Epochs of 30 seconds; the year is the tropical one.
pub const HOUR: ChainEpoch = 120;
pub const DAY: ChainEpoch = 24 * HOUR;
pub const YEAR: ChainEpoch = 31_556_925 / 30;

/// Bytes of raw power from which on a miner counts; 10 TiB on the main network.
pub const MINIMUM_CONSENSUS_POWER: u64 = 2 << 10;

/// Bytes of the smallest piece that datacap can be spent on; 1 MiB on the main network.
pub const MINIMUM_VERIFIED_SIZE: u64 = 256;
/// How long a verified piece must, and can at most, be stored.
pub const MINIMUM_VERIFIED_TERM: ChainEpoch = 180 * DAY;
pub const MAXIMUM_VERIFIED_TERM: ChainEpoch = 5 * YEAR;
/// How long an allocation may wait for its piece.
pub const MAXIMUM_VERIFIED_EXPIRATION: ChainEpoch = 60 * DAY;

/// How long a deal lasts at least and at most.
pub const SHORTEST_DEAL: ChainEpoch = 180 * DAY;
pub const LONGEST_DEAL: ChainEpoch = 1278 * DAY;
/// Percent of the circulating supply that a provider puts up for all of the network's data; 1 on the other networks.
pub const PROVIDER_COLLATERAL_PERCENT: u64 = 0;
