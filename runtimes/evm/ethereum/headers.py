"""Ethereum's block headers and blocks, and their RLP encoding.

Sources: the execution specifications' `Header` and `Block`; EIP-1559, 4895, 4844, 4788, 7685, 7928 and 7843 for
later fields.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from runtimes.evm.ethereum.block_errors import InvalidBlock
from runtimes.evm.ethereum.block_run import Withdrawal
from store.cid import Cid
from store.keccak import keccak

EMPTY_OMMERS: Final = bytes(keccak(rlp.encode([])))
RLP_ERROR: Final = "RLP_STRUCTURES_ENCODING"
_FORMAT: Final = "INCORRECT_BLOCK_FORMAT"
_OVERFLOW: Final = "RLP_INVALID_FIELD_OVERFLOW_64"
_KECCAK_CID: Final = bytes.fromhex("01551b20")
"""Prefix of a CID of raw bytes hashed with keccak-256."""
_HASH_LENGTH: Final = 32
_U64: Final = 8
_FRONTIER_FIELDS: Final = 15
"""Number of header fields in Frontier."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block header. Fields that its fork does not have are None. Gas in Ethereum gas, timestamp in Unix seconds."""

    parent_hash: bytes
    ommers_hash: bytes
    coinbase: EthAddress
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee: int | None = None
    withdrawals_root: bytes | None = None
    blob_gas_used: int | None = None
    excess_blob_gas: int | None = None
    beacon_root: bytes | None = None
    requests_hash: bytes | None = None
    access_list_hash: bytes | None = None
    slot_number: int | None = None

    def rlp(self) -> bytes:
        """Return the encoding, which ends with the last field that is not None."""
        values = [getattr(self, name) for name in _NAMES]
        return rlp.encode(
            [rlp.number(each) if isinstance(each, int) else bytes(each) for each in values if each is not None]
        )

    def hash(self) -> bytes:
        """Return the block hash."""
        return bytes(keccak(self.rlp()))


_NAMES: Final = tuple(field.name for field in fields(Header))
LATER_FIELDS: Final = _NAMES[_FRONTIER_FIELDS:]
"""Names of the header fields that forks after Frontier added, in order."""
_LENGTHS: Final = {"coinbase": 20, "bloom": 256, "nonce": 8}
_NUMBERS: Final = {
    "difficulty": 32, "number": _U64, "gas_limit": _U64, "gas_used": _U64, "timestamp": _U64, "base_fee": 32,
    "blob_gas_used": _U64, "excess_blob_gas": _U64, "slot_number": _U64,
}  # fmt: skip
"""Maximum length of each numeric field in bytes."""


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A block as received. `transactions` are encoded as in the transactions trie; `hash` is the block hash."""

    header: Header
    transactions: tuple[bytes, ...]
    ommers: tuple[Header, ...]
    ommers_hash: bytes
    withdrawals: tuple[Withdrawal, ...] | None
    hash: bytes
    size: int


def block_hash_cid(block_hash: bytes) -> Cid:
    """Return a block hash as a CID, the type of `Externs.tipset_cid`."""
    return Cid(_KECCAK_CID + block_hash)


def parse_block(raw: bytes) -> RawBlock:
    """Parse a block. Raises InvalidBlock."""
    try:
        parts = rlp.read_list(rlp.decode(raw))
        if len(parts) not in (3, 4):
            raise InvalidBlock(
                f"expected a block of 3 or 4 parts, found {len(parts)}", RLP_ERROR, _FORMAT, "RLP_WITHDRAWALS_NOT_READ"
            )
        ommers = rlp.read_list(parts[2])
        return RawBlock(
            header=parse_header(parts[0]),
            transactions=tuple(
                item if isinstance(item, bytes) else rlp.encode(item) for item in rlp.read_list(parts[1])
            ),
            ommers=tuple(parse_header(item) for item in ommers),
            ommers_hash=bytes(keccak(rlp.encode(ommers))),
            withdrawals=tuple(_withdrawal(item) for item in rlp.read_list(parts[3])) if len(parts) > 3 else None,
            hash=bytes(keccak(rlp.encode(rlp.read_list(parts[0])))),
            size=len(raw),
        )
    except rlp.RlpError as error:
        raise InvalidBlock(f"the block is malformed: {error}", RLP_ERROR, _FORMAT) from None


def parse_header(item: rlp.Item) -> Header:
    """Parse a header of any fork. Raises InvalidBlock and RlpError."""
    values = rlp.read_list(item)
    if not _FRONTIER_FIELDS <= len(values) <= len(_NAMES):
        message = f"expected a header of {_FRONTIER_FIELDS} to {len(_NAMES)} fields, found {len(values)}"
        raise InvalidBlock(message, RLP_ERROR, _FORMAT)
    found: dict[str, Any] = {name: _field(name, value) for name, value in zip(_NAMES, values, strict=False)}
    return Header(**found)


def _field(name: str, value: rlp.Item) -> int | bytes:
    if name in _NUMBERS:
        return _number(value, name, _NUMBERS[name])
    data = rlp.read_bytes(value)
    length = _LENGTHS.get(name, _HASH_LENGTH)
    if name == "extra_data":
        return data
    if len(data) != length:
        names = (RLP_ERROR, "RLP_INVALID_ADDRESS") if name == "coinbase" else (RLP_ERROR, _FORMAT)
        raise InvalidBlock(f"{name} has {len(data)} bytes, expected {length}", *names)
    return EthAddress(data) if name == "coinbase" else data


def _number(value: rlp.Item, name: str, length: int) -> int:
    data = rlp.read_bytes(value)
    if len(data) > length:
        raise InvalidBlock(f"{name} does not fit in {8 * length} bits", _OVERFLOW, RLP_ERROR, _FORMAT)
    return rlp.read_number(data, length)


def _withdrawal(item: rlp.Item) -> Withdrawal:
    index, validator, address, amount = rlp.read_list(item, 4)
    receiver = rlp.read_bytes(address)
    if len(receiver) != 20:
        raise InvalidBlock(f"a withdrawal's address has {len(receiver)} bytes", "RLP_INVALID_ADDRESS", RLP_ERROR)
    return Withdrawal(
        index=_number(index, "a withdrawal's index", _U64),
        validator=_number(validator, "a withdrawal's validator", _U64),
        address=EthAddress(receiver),
        amount=_number(amount, "a withdrawal's amount", _U64),
    )
