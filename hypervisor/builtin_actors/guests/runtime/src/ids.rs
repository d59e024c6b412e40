//! Actor ids and method numbers that the protocol fixes.

use fvm_shared::{ActorID, MethodNum};

pub const SYSTEM: ActorID = 0;
pub const INIT: ActorID = 1;
pub const REWARD: ActorID = 2;
pub const CRON: ActorID = 3;
pub const POWER: ActorID = 4;
pub const MARKET: ActorID = 5;
pub const VERIFIED_REGISTRY: ActorID = 6;
pub const DATACAP: ActorID = 7;
/// The Ethereum address manager; also the f4 namespace of every Ethereum address.
pub const EAM: ActorID = 10;
/// What is sent here is destroyed.
pub const BURNT_FUNDS: ActorID = 99;
/// The first id that Init gives away.
pub const FIRST_FREE: ActorID = 100;

pub const CONSTRUCTOR: MethodNum = 1;
/// Numbers from here on are exported names (FRC-42); smaller ones are internal.
pub const FIRST_EXPORTED: MethodNum = 1 << 24;
