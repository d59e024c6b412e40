"""Facts for mining a block: the lookback, a miner's active sectors, and the sector of its winning PoSt.

Sources: lotus chain/stmgr/actors.go (`MinerGetBaseInfo`) and utils.go (`GetLookbackTipSetForRound`), rust-fil-proofs
storage-proofs-post (`generate_sector_challenge`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from bridge.actor_schemas import actor_schema
from hypervisor.consensus_faults import CHAIN_FINALITY
from hypervisor.errors import InvalidInput
from hypervisor.kernel.chain import draw
from hypervisor.types import ActorID, ChainEpoch
from localnet.ledger.blocks import beacon_digest
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from store.amt import Amt
from store.bitfield import BitfieldError, decode_members
from store.blockstore import Blockstore, get_object
from store.codec import encode, unlink
from store.varint import write_uvarint

_WINNING_POST_SEED: Final = 3
"""Domain of randomness (`WinningPoStChallengeSeed`)."""
_MAX_PARTITION_SECTORS: Final = 10_000
"""Maximum number of sectors of a partition that is read; the network's largest has 2,349."""


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
    """Return which of a miner's active sectors, in ascending order, a winning PoSt has to prove."""
    challenge = seed[:31] + bytes([seed[31] & 0x3F])  # an element of the scalar field of BLS12-381
    prover = write_uvarint(miner).ljust(32, b"\0")
    digest = hashlib.sha256(prover + challenge + bytes(8)).digest()
    return int.from_bytes(digest[:8], "little") % count


def active_sectors(store: Blockstore, state: dict[str, Any]) -> list[int]:
    """Return the numbers of the sectors that are live, proven and not faulty; `state` has a miner's fields.

    Raises InvalidInput for a bitfield that cannot be read.
    """
    found: set[int] = set()
    try:
        for partition in _partitions(store, state):
            removed = (_members(partition[name]) for name in ("terminated", "faults", "unproven"))
            found |= _members(partition["sectors"]).difference(*removed)
    except BitfieldError as error:
        raise InvalidInput(f"the sectors of a partition cannot be read: {error}") from None
    return sorted(found)


def _members(data: bytes) -> set[int]:
    """Return the members of a partition's bitfield. Raises BitfieldError."""
    return set(decode_members(data, _MAX_PARTITION_SECTORS))


def _partitions(store: Blockstore, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    schema = actor_schema("storageminer")
    for due in schema.read("Deadlines", get_object(store, unlink(state["deadlines"])))["due"]:
        deadline = schema.read("Deadline", get_object(store, unlink(due)))
        yield from (schema.read("Partition", entry[1]) for entry in Amt(store, unlink(deadline["partitions"])).items())


def sector_info(store: Blockstore, state: dict[str, Any], number: int) -> dict[str, Any]:
    """Return a sector's information on chain by the names of the schema. Raises InvalidInput if there is none."""
    found = Amt(store, unlink(state["sectors"])).get(number)
    if found is None:
        raise InvalidInput(f"the miner has no information about its sector {number}")
    info: dict[str, Any] = actor_schema("storageminer").read("SectorOnChainInfo", found)
    return info
