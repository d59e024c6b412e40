"""Random values, trees and bytecode, and their mutations.

- Mutations of data model values and of bytes, used by all targets.
- Trees of nodes with arbitrary links: cycles, nodes of another kind, missing nodes.
- Random EVM bytecode: instructions with about as many operands as they take.

An input is DAG-CBOR: [number, nodes, operations]. A link leads to the node whose number is the last byte of its CID,
whatever the hash, so that a mutation of one byte rewires the tree; an honest store would need a hash collision.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from bridge.ethereum.addresses import masked_id
from hypervisor.types import ActorID
from runtimes.evm.contracts.opcodes import OPCODE_NUMBERS
from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, StoreError
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import CodecError, decode, decode_strict, encode, link

NUMBERS = (
    0, 1, -1, 2, 23, 24, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63), -(2**64),
)  # fmt: skip
TEXTS = ("", "a", "/", "0", "-1", "0x", "0x0", "latest", "\0", "é", "\U0001f600", "a" * 100, "f01", "Int", "\u2028")


def mutated(value: Any, rng: Random) -> Any:
    """Return a value changed in one place or a few; the given value is unchanged."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = _once(value, rng)
    return value


def _once(value: Any, rng: Random) -> Any:
    if isinstance(value, list) and value and rng.random() < 0.9:
        return _list(list(value), rng)
    if isinstance(value, dict) and value and rng.random() < 0.9:
        return _map(dict(value), rng)
    if rng.random() < 0.03:
        return rng.choice(([value], {"a": value}, [value, value], [[[[value]]]]))
    if rng.random() < 0.85:
        return _like(value, rng)
    return random_value(rng)


def _list(items: list[Any], rng: Random) -> list[Any]:
    at, other = rng.randrange(len(items)), rng.randrange(len(items))
    match rng.randrange(12):
        case 0:
            del items[at]
        case 1:
            items.insert(at, items[other])
        case 2:
            items[at], items[other] = items[other], items[at]
        case 3:
            items[at] = random_value(rng)
        case 4 if len(items) < 64:
            items *= 2
        case _:
            items[at] = _once(items[at], rng)
    return items


def _map(entries: dict[Any, Any], rng: Random) -> dict[Any, Any]:
    key, other = rng.choice([*entries]), rng.choice([*entries])
    match rng.randrange(10):
        case 0:
            del entries[key]
        case 1:
            entries[text(rng, str(key))] = entries[key]
        case 2:
            entries[key] = entries[other]
        case 3:
            entries[key] = random_value(rng)
        case _:
            entries[key] = _once(entries[key], rng)
    return entries


def _like(value: Any, rng: Random) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random_number(rng, value)
    if isinstance(value, float):
        return rng.choice((0.0, -0.0, 1.5, value * 2, 1e308, 5e-324, -value))
    if isinstance(value, bytes):
        return scrambled(value, rng)
    if isinstance(value, str):
        return text(rng, value)
    return random_value(rng)


def random_number(rng: Random, near: int = 0) -> int:
    """Return a number near another, or at the edge of a range."""
    return rng.choice(
        (near + 1, near - 1, near ^ (1 << rng.randrange(64)), -near, rng.choice(NUMBERS), rng.choice(NUMBERS))
    )


def text(rng: Random, near: str = "") -> str:
    """Return a text similar to another, or an odd one."""
    at = rng.randrange(len(near) + 1)
    changes: tuple[Callable[[], str], ...] = (
        lambda: rng.choice(TEXTS),
        lambda: near[:at] + rng.choice(TEXTS) + near[at:],
        lambda: near[:at] + near[at + 1 :],
        lambda: near[:at],
        lambda: near[:at] + chr(rng.randrange(32, 127)) + near[at + 1 :],
    )
    return rng.choice(changes)()


def scrambled(data: bytes, rng: Random) -> bytes:
    """Return bytes similar to others: flipped, truncated, repeated, replaced."""
    at = rng.randrange(len(data) + 1)
    match rng.randrange(7):
        case 0 if data:
            return data[:at] + bytes((data[at % len(data)] ^ 1 << rng.randrange(8),)) + data[at + 1 :]
        case 1:
            return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]
        case 2:
            return data[:at] + data[at + rng.randrange(1, 5) :]
        case 3:
            return data[:at] + (data[at : at + 16] * 2) + data[at + 16 :]
        case 4:
            width = rng.choice((1, 2, 4, 8, 32))
            return data[:at] + (rng.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, "big") + data[at + width :]
        case 5:
            return (
                data[:at] + rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"\x01")) * rng.randrange(1, 33) + data[at:]
            )
        case _:
            return data[:at]


def random_value(rng: Random) -> Any:
    choices: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(NUMBERS),
        lambda: rng.randbytes(rng.randrange(40)),
        lambda: rng.choice(TEXTS),
        lambda: rng.choice((None, True, False)),
        list,
        dict,
        lambda: rng.random() * 10.0 ** rng.randrange(-9, 300),
        lambda: link(cid_of(rng.randbytes(2), rng.choice((DAG_CBOR, RAW)))),
    )
    return rng.choice(choices)()


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


CONTRACT = ActorID(1000)
"""The actor that programs use as their own address, or as another one."""

OPCODES = tuple(sorted(OPCODE_NUMBERS.values()))
_PLACES = (0, 1, 4, 31, 32, 33, 64, 1024, 2**16, 2**24, 2**32, 2**64 - 1, 2**64, 2**255, 2**256 - 1)
_ADDRESSES = (
    masked_id(int(CONTRACT)),
    masked_id(0),
    masked_id(99),
    bytes(range(1, 21)),
    *(bytes(19) + bytes((at,)) for at in range(1, 19)),
    *(b"\xfe" + bytes(18) + bytes((at,)) for at in range(1, 6)),
)


def program(rng: Random) -> bytes:
    """Return instructions with about as many operands as they take."""
    parts: list[bytes] = []
    for _ in range(rng.randrange(1, 40)):
        parts += [push(rng) for _ in range(rng.choice((0, 1, 2, 2, 3, 7)))]
        parts.append(bytes((rng.choice(OPCODES),)))
        if rng.random() < 0.1:
            parts.append(b"\x5b")
        if rng.random() < 0.05:
            place = rng.randrange(len(b"".join(parts)) + 1) % 256
            parts.append(bytes((0x60, place, rng.choice((0x56, 0x57)))))
    return b"".join(parts)


def push(rng: Random) -> bytes:
    """Return a push of a number, often at a boundary, or of an address."""
    if rng.random() < 0.2:
        return b"\x73" + bytes(rng.choice(_ADDRESSES))
    number = rng.choice(_PLACES) if rng.random() < 0.9 else rng.getrandbits(256)
    width = max(1, (number.bit_length() + 7) // 8)
    return bytes((0x5F + width,)) + number.to_bytes(width, "big")
