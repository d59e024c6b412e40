"""Trees of nodes with arbitrary links: cycles, nodes of another kind, missing nodes.

An input is DAG-CBOR: [number, nodes, operations]. A link leads to the node whose number is the last byte of its CID,
whatever the hash, so that a mutation of one byte rewires the tree; an honest store would need a hash collision.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, StoreError
from store.cid import Cid, cid_of
from store.codec import CodecError, decode, decode_strict, encode, link
from tests.fuzz.trees import mutated, random_number

MAX_READS = 200
MAX_ITEMS = 60
"""Maximum number of blocks read: a cycle only ends at the depth limit, which two links per level make unreachable."""


class NodeLimitReached(Exception):
    """Raised when an input has read the maximum number of nodes."""


class ArbitraryLinkStore(MemoryStore):
    """Blocks by the last byte of a CID, until one is stored under its own CID."""

    def __init__(self, nodes: list[Any]) -> None:
        super().__init__()
        self._nodes = [encode(node) for node in nodes]
        self._reads = 0

    def get(self, cid: Cid) -> bytes:
        """Return the block; raises NodeLimitReached after the limit."""
        self._reads += 1
        if self._reads > MAX_READS:
            raise NodeLimitReached
        if self.has(cid):
            return super().get(cid)
        if cid[-1] >= len(self._nodes):
            raise BlockNotFound(cid)
        return self._nodes[cid[-1]]


def node_cid(number: int) -> Cid:
    """Return the CID that links to an input's node of this number."""
    return Cid(cid_of(b"")[:-1] + bytes((number,)))


def run(data: bytes, use: Callable[[ArbitraryLinkStore, int, list[Any]], None]) -> bool:
    """Decode an input and use it; return True if the root was decoded."""
    try:
        number, nodes, operations = decode_strict(data)
        store = ArbitraryLinkStore(nodes)
    except (CodecError, ValueError, TypeError):
        return False
    if type(number) is not int or not nodes or type(operations) is not list:
        return False
    try:
        use(store, number, operations)
    except NodeLimitReached:
        return True
    except StoreError:
        return store._reads > 1
    return True


def renamed(root: Cid, store: MemoryStore, number: int, operations: list[Any]) -> bytes:
    """Return a valid tree as an input."""
    cids = [root, *(cid for cid in store._blocks if cid != root)]
    blocks = [decode(store.get(cid)) for cid in cids]
    places = {cid: node_cid(at) for at, cid in enumerate(cids)}
    return encode([number, [_relinked(block, places) for block in blocks], operations])


def _relinked(value: Any, places: dict[Cid, Cid]) -> Any:
    if isinstance(value, list):
        return [_relinked(item, places) for item in value]
    if hasattr(value, "tag"):
        cid = Cid(value.value[1:])
        return link(places.get(cid, cid))
    return value


def mutation(seeds: Callable[[], Iterable[bytes]]) -> Callable[[bytes, Random], bytes]:
    """Return an input with changed links, nodes or operations."""

    def mutate(data: bytes, rng: Random) -> bytes:
        try:
            number, nodes, operations = decode_strict(data)
            assert type(nodes) is type(operations) is list
            assert nodes
        except (CodecError, ValueError, TypeError, AssertionError):
            number, nodes, operations = decode_strict(rng.choice([*seeds()]))
        for _ in range(rng.choice((0, 1, 1, 2))):
            nodes = _rewired(nodes, rng, len(nodes))
        if rng.random() < 0.3:
            at = rng.randrange(len(nodes))
            nodes[at] = mutated(nodes[at], rng)
        if rng.random() < 0.5:
            operations = [*operations, [rng.randrange(4), random_number(rng), rng.randbytes(rng.randrange(9))]][-20:]
        try:
            return encode([number, nodes, operations])
        except CodecError:
            return data

    return mutate


def _rewired(value: Any, rng: Random, count: int) -> Any:
    if isinstance(value, list):
        return [_rewired(item, rng, count) for item in value]
    if hasattr(value, "tag") and rng.random() < 0.3:
        return link(node_cid(rng.randrange(count + 1)))
    return value
