"""The state of a contract as stored in its actor's head block, compatible with the official EVM actor.

The tuple [bytecode CID, its keccak-256, storage root, transient data or null, nonce, tombstone or null]; before
transient storage (network version 25) without the fourth field.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hypervisor.types import ActorID
from store.blockstore import Blockstore
from store.cid import EMPTY_ARRAY_CID, Cid
from store.codec import CodecError, LinkedCid, decode, encode, unlink
from store.keccak import keccak

EMPTY_CODE_HASH: Final = bytes(keccak(b""))
"""Keccak-256 of the code of an account without code."""
_CACHED_BLOCKS: Final = 4096
"""Number of decoded blocks to cache, of some hundred bytes each."""


@dataclass(slots=True, unsafe_hash=True)
class Lifespan:
    """A message, identified by origin and nonce: the lifetime of transient data and destroyed contracts."""

    origin: Final[ActorID]
    nonce: Final[int]

    def fields(self) -> list[int]:
        return [self.origin, self.nonce]


@dataclass(frozen=True, slots=True)
class TransientData:
    """The root of the transient storage, and the message that it belongs to."""

    root: Cid
    lifespan: Lifespan


@dataclass(slots=True, unsafe_hash=True)
class EvmState:
    """A contract's state. `nonce` is Ethereum's; `tombstone` identifies the message that destroyed the contract."""

    bytecode: Final[Cid]
    bytecode_hash: Final[bytes]
    storage: Final[Cid]
    transient: Final[TransientData | None]
    nonce: Final[int]
    tombstone: Final[Lifespan | None]

    def encode(self, transient_field: bool = True) -> bytes:
        """Encode the block; without `transient_field` as five fields."""
        transient = [LinkedCid(self.transient.root), self.transient.lifespan.fields()] if self.transient else None
        tombstone = self.tombstone.fields() if self.tombstone else None
        middle = [transient] if transient_field else []
        return encode(
            [LinkedCid(self.bytecode), self.bytecode_hash, LinkedCid(self.storage), *middle, self.nonce, tombstone]
        )

    @staticmethod
    def decode(data: bytes, transient_field: bool | None = None) -> "EvmState":
        """Decode the form with or without `transient_field`, or either if None. Raises CodecError."""
        return _decode(data, transient_field)


def evm_state_at(store: Blockstore, head: Cid) -> EvmState | None:
    """Return the state at a contract's head, or at that of an Ethereum account with code (lab `accounts`).

    None for an empty head: of a contract whose constructor has not run, or of an account that never had code.
    """
    return None if head == EMPTY_ARRAY_CID else EvmState.decode(store.get(head))


@lru_cache(_CACHED_BLOCKS)
def _decode(data: bytes, transient_field: bool | None) -> EvmState:
    fields = decode(data)
    lengths = (5, 6) if transient_field is None else (5 + transient_field,)
    if not isinstance(fields, list) or len(fields) not in lengths:
        raise CodecError(f"a contract's state must be a tuple of {' or '.join(map(str, lengths))} fields")
    code, code_hash, storage, *middle, nonce, tombstone = fields
    if not isinstance(code_hash, bytes) or len(code_hash) != 32:
        raise CodecError("a contract's state must have a code hash of 32 bytes")
    transient = None
    if middle and middle[0] is not None:
        root, lifespan = _pair(middle[0])
        transient = TransientData(unlink(root), _lifespan(lifespan))
    return EvmState(
        unlink(code),
        code_hash,
        unlink(storage),
        transient,
        _u64(nonce),
        None if tombstone is None else _lifespan(tombstone),
    )


def _pair(value: object) -> tuple[object, object]:
    if not isinstance(value, list) or len(value) != 2:
        raise CodecError(f"expected a list of two items in a contract's state, found {value!r:.100}")
    return value[0], value[1]


def _lifespan(value: object) -> Lifespan:
    origin, nonce = _pair(value)
    return Lifespan(ActorID(_u64(origin)), _u64(nonce))


def _u64(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise CodecError(f"{value!r:.40} in a contract's state is not an unsigned number of 64 bits")
    return value
