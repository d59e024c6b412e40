//! CIDs of pieces of data, and of what a sector holds before it is sealed.

use cid::{Cid, Version};
use fvm_shared::commcid::{FIL_COMMITMENT_UNSEALED, SHA2_256_TRUNC254_PADDED};

pub fn is_piece(cid: &Cid) -> bool {
    let hash = cid.hash();
    cid.version() == Version::V1
        && cid.codec() == FIL_COMMITMENT_UNSEALED
        && hash.code() == SHA2_256_TRUNC254_PADDED
        && hash.size() == 32
}
