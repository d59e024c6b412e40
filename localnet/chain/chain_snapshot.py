"""Chain snapshots as exported by Filecoin nodes: a CAR of headers, messages and states.

Networks can start from a snapshot. In version 1 the roots of the CAR are the blocks of the head tipset. In version 2
there is one root, a map that contains them (FRC-0108).

The state in a snapshot precedes the head's messages, because a header contains the state root of its parent. Nothing
here reads what a snapshot omits, such as older states and receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypervisor.bundles.bundle_library import release_of
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor.versions.network_versions import newest_with_actors
from localnet.fork.forking import ForkPoint, begin_fork
from localnet.ledger.headers import read_tipset
from localnet.rules.installed import rules_named
from store.blockstore import BlockNotFound, Blockstore, Store, get_object
from store.cid import Cid, show
from store.codec import CodecError, unlink
from store.roots import HEAD

CHAIN_IDS: Final = {"mainnet": 314, "calibrationnet": 314159}
"""Chain ids of known networks, by the name in the init actor's state."""


@dataclass(frozen=True, slots=True)
class ChainSnapshot:
    """The head tipset of a snapshot: its blocks and their header fields. Unix seconds, attoFIL per gas."""

    version: int
    blocks: tuple[Cid, ...]
    height: ChainEpoch
    parents: tuple[Cid, ...]
    state: Cid
    timestamp: int
    base_fee: TokenAmount


def read_chain_snapshot(store: Blockstore, roots: Sequence[Cid]) -> ChainSnapshot:
    """Read the head of a snapshot whose blocks are in a store. Raises InvalidInput if it is not a chain snapshot."""
    version, blocks = 1, tuple(roots)
    try:
        first = get_object(store, roots[0]) if roots else None
        if isinstance(first, dict):
            version, blocks = int(first["Version"]), tuple(unlink(block) for block in first["HeadTipsetKey"])
    except (BlockNotFound, CodecError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"this is not a snapshot of a chain: {error}") from None
    if not blocks or version not in (1, 2):
        raise InvalidInput(f"a snapshot of version {version} with {len(blocks)} blocks at its head cannot be read")
    try:
        head = read_tipset(store, blocks)
    except (BlockNotFound, InvalidInput) as error:
        raise InvalidInput(f"this is not a snapshot of a chain: {error}") from None
    base_fee = head.blocks[0].base_fee
    return ChainSnapshot(version, blocks, head.height, head.parents, head.state, head.timestamp, base_fee)


def network_of(store: Store, snapshot: ChainSnapshot) -> int:
    """Return the newest network version with a snapshot's actors. Raises InvalidInput for unknown actors."""
    manifest = Hypervisor.at(store, snapshot.state, MachineContext(), evm=AUTO).manifest
    release = release_of(manifest.root)
    if release is None:
        raise InvalidInput(
            f"the actors of manifest {show(manifest.root)} are not a known release: pass the network version"
        )
    found = newest_with_actors(release.version)
    if found is None:
        raise InvalidInput(
            f"the snapshot's actors are of version {release.version}, which no known network version has"
        )
    return found.number


def check_empty(store: Store) -> None:
    """Raise InvalidInput if a folder already contains a state."""
    if store.metadata(HEAD) is not None:
        raise InvalidInput("the folder already contains a state: name another folder")


def begin_from(store: Store, snapshot: ChainSnapshot, network: int, chain_id: int | None = None) -> ForkPoint:
    """Start a folder's network with the state of a snapshot, after the parent of its head.

    `network` is its version, which blocks do not contain; the chain ID is derived from the network's name if possible.
    The first tipset is one epoch before the head, whose messages are not executed. Vesting outside the state is
    unknown and counts as zero. Raises InvalidInput for a folder that already contains a state.
    """
    check_empty(store)
    name = StateTree(store, snapshot.state).init_state().network_name
    rules = rules_named("filecoin")
    height = ChainEpoch(max(0, snapshot.height - 1))
    point = ForkPoint(
        url="",
        epoch=height,
        height=height,
        blocks=snapshot.parents or snapshot.blocks,
        timestamp=snapshot.timestamp - 1,
        base_fee=snapshot.base_fee,
        next_base_fee=snapshot.base_fee,
        state=snapshot.state,
        network=network,
        chain_id=chain_id or CHAIN_IDS.get(name, rules.chain_id),
        name=name,
        vested=TokenAmount(0),
    )
    for block in point.blocks:
        if not store.has(block):
            raise InvalidInput(f"the snapshot lacks the header {show(block)} of its last executed tipset")
    begin_fork(store, point)
    return point
