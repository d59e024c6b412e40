"""Facts for mining a block: the lookback, and the sector of a miner's winning PoSt.

Sources: lotus chain/stmgr/actors.go (`MinerGetBaseInfo`) and utils.go (`GetLookbackTipSetForRound`), rust-fil-proofs
storage-proofs-post (`generate_sector_challenge`).
"""

from __future__ import annotations

import hashlib
from typing import Final

from hypervisor.errors import InvalidInput
from hypervisor.kernel.chain import draw
from hypervisor.proofs.consensus_faults import CHAIN_FINALITY
from hypervisor.proofs.verifier import prover_id
from hypervisor.types import ActorID, ChainEpoch
from localnet.ledger.blocks import beacon_digest
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from store.codec import encode

_WINNING_POST_SEED: Final = 3
"""Domain of randomness (`WinningPoStChallengeSeed`)."""


def lookback_tipset(index: ChainIndex, base: Tipset, epoch: int) -> Tipset:
    """Return the tipset whose state determines power and worker of a block at `epoch` after `base`.

    Raises InvalidInput if `base` is older than that.
    """
    lookback = max(0, epoch - CHAIN_FINALITY)
    if lookback >= base.height:
        if base.height == index.first:
            return base
        raise InvalidInput(
            f"the lookback of epoch {epoch} is epoch {lookback}, which is not before the tipset of epoch {base.height}:"
            " pass a later tipset"
        )
    found = index.tipset_before(max(lookback, index.first))
    assert found is not None, "the chain has a first tipset"
    return found


def winning_post_seed(miner: bytes, epoch: ChainEpoch) -> bytes:
    """Return the randomness that selects the sector of a block's winning PoSt; `miner` is the address in binary."""
    return draw(_WINNING_POST_SEED, beacon_digest(epoch), epoch, encode(miner))


def winning_sector(miner: ActorID, seed: bytes, count: int) -> int:
    """Return the index of the sector that a winning PoSt has to prove, among `count` active ones in ascending order."""
    challenge = seed[:31] + bytes([seed[31] & 0x3F])  # an element of the scalar field of BLS12-381
    digest = hashlib.sha256(prover_id(miner) + challenge + bytes(8)).digest()
    return int.from_bytes(digest[:8], "little") % count
