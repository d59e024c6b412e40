//! The pieces that new sectors hold, from v19 on: their bytes are counted, and nothing is claimed for them.

use actor_runtime::ActorError;
use cid::Cid;
use fvm_ipld_encoding::tuple::*;
use fvm_shared::ActorID;
use fvm_shared::bigint::BigInt;
use fvm_shared::clock::ChainEpoch;
use fvm_shared::piece::PaddedPieceSize;
use fvm_shared::sector::SectorNumber;

/// As before v19; the client and the allocation's number are taken and ignored.
#[derive(Deserialize_tuple)]
pub struct Allocation {
    _client: ActorID,
    _id: u64,
    pub data: Cid,
    pub size: PaddedPieceSize,
}

/// The bytes of the pieces in each sector.
pub fn claim(_: &[SectorNumber], wanted: &[Vec<Allocation>], _: ChainEpoch) -> Result<Vec<BigInt>, ActorError> {
    Ok(wanted.iter().map(|pieces| pieces.iter().map(|piece| BigInt::from(piece.size.0)).sum()).collect())
}
