"""Consensus faults: two signed block headers of a miner that cannot both be honest.

Rules: lotus chain/vm/fvm.go (`VerifyConsensusFault`), with its quirks: bytes after a header are ignored, the order of
parents does not matter, and a later kind of fault replaces an earlier one. Layout: lotus chain/types/blockheader.go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import AddressError, MessageError
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Signature, SignatureType
from hypervisor.messages.signatures import verify_bls, verify_secp256k1
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ActorID, ChainEpoch, decode_bigint, encode_bigint
from store.blockstore import Blockstore, get_object
from store.cid import Cid, cid_of
from store.codec import CodecError, decode, encode, unlink

DOUBLE_FORK: Final = 1
"""Two blocks at the same epoch."""
PARENT_GRINDING: Final = 2
"""A block that leaves out the miner's own block among its parents, but includes a sibling of it."""
TIME_OFFSET: Final = 3
"""Two blocks with the same parents at different epochs."""
CHAIN_FINALITY: Final = 900
"""Epochs for which a fault can be reported, and lookback of the worker's key."""

_FIELDS: Final = 16
_MAX_ITEMS: Final = 8192
"""Maximum length of an array in a header (cbor-gen)."""
_SIGNATURE: Final = 13
_INTEGERS: Final = {7: True, 12: False, 14: False}
"""Fields that are integers of 64 bits; True if signed."""
_AMOUNTS: Final = (6, 15)
_LINKS: Final = (8, 9, 10)
_PAIRS: Final = {3: False, 4: True}
"""Fields that are lists of an integer and bytes: beacon entries and proofs; True if the integer is signed."""


@dataclass(frozen=True, slots=True)
class ConsensusFault:
    """A proven fault: its miner, epoch, and kind (1 double fork, 2 parent grinding, 3 time offset)."""

    target: ActorID
    epoch: ChainEpoch
    kind: int


class NoFault(Exception):
    """Raised if headers prove no fault; the text names the check that failed."""


WorkerKey = Callable[[Address, ChainEpoch], Address]
"""Returns the key of a miner's worker for a block at an epoch. Raises NoFault."""


@dataclass(frozen=True, slots=True)
class SignedHeader:
    """The fields of a block header that prove a fault. `signed` are the bytes under the signature."""

    cid: Cid
    miner: Address
    parents: tuple[Cid, ...]
    epoch: ChainEpoch
    signature: Signature | None
    signed: bytes


def find_fault(first: bytes, second: bytes, extra: bytes, worker_key: WorkerKey) -> ConsensusFault:
    """Return the fault that two headers, in order of their epochs, prove. Raises NoFault.

    `extra` is the sibling block of parent grinding, or empty.
    """
    block_a, block_b = read_header(first, "the first header"), read_header(second, "the second header")
    if block_a.cid == block_b.cid:
        raise NoFault("the two headers are the same block")
    if block_a.miner != block_b.miner:
        raise NoFault(f"the headers have different miners: {block_a.miner} and {block_b.miner}")
    if block_b.epoch < block_a.epoch:
        raise NoFault(f"the first header's epoch {block_a.epoch} is after the second header's epoch {block_b.epoch}")
    kind = 0
    if block_a.epoch == block_b.epoch:
        kind = DOUBLE_FORK
    elif _same_blocks(block_a.parents, block_b.parents):
        kind = TIME_OFFSET
    if extra:
        block_c = read_header(extra, "the extra header")
        if (
            _same_blocks(block_a.parents, block_c.parents)
            and block_a.epoch == block_c.epoch
            and block_c.cid in block_b.parents
            and block_a.cid not in block_b.parents
        ):
            kind = PARENT_GRINDING
    if not kind:
        raise NoFault("the headers neither share an epoch nor their parents, and no extra header is a sibling")
    miner = block_a.miner.actor_id()
    if miner is None:
        raise NoFault(f"the miner {block_a.miner} is not an ID address")
    for header, name in ((block_a, "first"), (block_b, "second")):
        _check_signature(header, worker_key(header.miner, header.epoch), name)
    return ConsensusFault(miner, block_b.epoch, kind)


def _same_blocks(left: tuple[Cid, ...], right: tuple[Cid, ...]) -> bool:
    return len(left) == len(right) and set(left) <= set(right)


def _check_signature(header: SignedHeader, key: Address, name: str) -> None:
    signature = header.signature
    if signature is None:
        raise NoFault(f"the {name} header has no signature")
    verify = {SignatureType.BLS: verify_bls, SignatureType.SECP256K1: verify_secp256k1}.get(signature.type)
    if verify is None or not verify(signature.data, key, header.signed):
        raise NoFault(f"the {name} header is not signed by the worker {key}")


# --- headers --------------------------------------------------------------------------------------------------------


def read_header(data: bytes, name: str) -> SignedHeader:
    """Decode the block header that the bytes begin with. Raises NoFault."""
    try:
        fields = decode(data)
        canonical = encode(fields)
        if not data.startswith(canonical):
            raise ValueError("it is not canonical CBOR")
        return _header(fields)
    except (AddressError, CodecError, MessageError, TypeError, ValueError) as error:
        raise NoFault(f"{name} is not a block header: {error}") from None


def _header(fields: Any) -> SignedHeader:
    if not isinstance(fields, list) or len(fields) != _FIELDS:
        raise ValueError(f"expected an array of {_FIELDS} fields")
    _check_bytes(fields[0], "miner", 64)
    miner = Address.from_bytes(fields[0])
    if fields[1] is not None:
        _check_bytes(_list(fields[1], "ticket", 1)[0], "ticket")
    if fields[2] is not None:
        _check_pair(fields[2], "election proof", True)
    for at, signed in _PAIRS.items():
        for pair in _list(fields[at], f"field {at}"):
            _check_pair(pair, f"field {at}", signed)
    parents = tuple(unlink(parent) for parent in _list(fields[5], "parents"))
    for at, signed in _INTEGERS.items():
        _check_integer(fields[at], f"field {at}", signed)
    for at in _LINKS:
        unlink(fields[at])
    for at in (11, _SIGNATURE):
        if fields[at] is not None:
            _check_bytes(fields[at], f"field {at}", 200)
            Signature.from_bytes(fields[at])
    whole = [*fields]
    for at in _AMOUNTS:
        whole[at] = encode_bigint(decode_bigint(fields[at]))  # leading zeros are dropped before hashing
    unsigned = [*whole[:_SIGNATURE], None, *whole[_SIGNATURE + 1 :]]
    signature = None if fields[_SIGNATURE] is None else Signature.from_bytes(fields[_SIGNATURE])
    return SignedHeader(cid_of(encode(whole)), miner, parents, ChainEpoch(fields[7]), signature, encode(unsigned))


def _list(value: Any, name: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MAX_ITEMS or (length is not None and len(value) != length):
        wanted = f"at most {_MAX_ITEMS}" if length is None else f"{length}"
        raise ValueError(f"{name}: expected an array of {wanted} items")
    return value


def _check_bytes(value: Any, name: str, longest: int = 2 << 20) -> None:
    if not isinstance(value, bytes) or len(value) > longest:
        raise ValueError(f"{name}: expected at most {longest} bytes")


def _check_pair(value: Any, name: str, signed: bool) -> None:
    number, data = _list(value, name, 2)
    _check_integer(number, name, signed)
    _check_bytes(data, name)


def _check_integer(value: Any, name: str, signed: bool) -> None:
    low, high = (-(1 << 63), 1 << 63) if signed else (0, 1 << 64)
    if type(value) is not int or not low <= value < high:
        raise ValueError(f"{name}: expected an integer from {low} to {high - 1}")


# --- worker keys ----------------------------------------------------------------------------------------------------


def lookback_epoch(epoch: ChainEpoch, now: ChainEpoch) -> ChainEpoch:
    """Return the epoch whose state has the worker of a block at `epoch`. Raises NoFault for an old block.

    Source: lotus chain/stmgr/actors.go, GetLookbackTipSetForRound.
    """
    if epoch < now - CHAIN_FINALITY:
        raise NoFault(f"a block of epoch {epoch} is more than {CHAIN_FINALITY} epochs before the current epoch {now}")
    return ChainEpoch(max(0, epoch - CHAIN_FINALITY))


def worker_key_at_lookback(store: Blockstore, root: Cid, current: StateTree, miner: Address) -> Address:
    """Return the key of a miner's worker: the worker from an earlier state root, its key from the current state.

    Lotus takes the key from the state before the tipset. It is the same, because the key of an account never changes.
    Raises NoFault, BundleError, BlockNotFound. Source: lotus chain/vm/fvm.go, `workerKeyAtLookback`.
    """
    tree = StateTree(store, root)
    actor = tree.lookup_id(miner)
    state = None if actor is None else tree.get_actor(actor)
    if state is None:
        raise NoFault(f"the miner {miner} does not exist at the lookback")
    if state.code != Manifest.of_state(store, tree).code("storageminer"):
        raise NoFault(f"{miner} is not a miner")
    try:
        info = get_object(store, unlink(get_object(store, state.head)[0]))
        worker = Address.from_bytes(info[1])
        if worker.protocol in (Protocol.BLS, Protocol.SECP256K1):
            return worker
        account = current.lookup_id(worker)
        found = None if account is None else current.get_actor(account)
        if found is None:
            raise NoFault(f"the worker {worker} of the miner {miner} does not exist")
        if found.code != Manifest.of_state(store, current).code("account"):
            raise NoFault(f"the worker {worker} of the miner {miner} is not an account")
        return Address.from_bytes(get_object(store, found.head)[0])
    except (AddressError, CodecError, IndexError, KeyError, TypeError, ValueError) as error:
        raise NoFault(f"the state of the miner {miner} or of its worker is malformed: {error}") from None
