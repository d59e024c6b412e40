"""Ethereum's headers and blocks: encoding and validity checks.

Sources: the execution specifications' `Header` and `Block`; EIP-1559, 4895, 4844, 4788, 7685, 7928 and 7843 for
later fields.

Each check raises InvalidBlock with exception names of Ethereum's test fixtures. Sources: the execution specifications'
`validate_header` and `validate_ommers` of each fork; EIP-779 (DAO), 1559, 3675, 4844, 4895, 7685, 7928, 7934.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import ITEM_GAS, BlockAccessList, Withdrawal, first_difference, next_base_fee
from bridge.ethereum.patricia import list_root
from runtimes.evm.blocks.alloc import DAO_EXTRA_BLOCKS, DAO_EXTRA_DATA
from runtimes.evm.forks.forks import DifficultyRule, Fork, ForkBlobs
from runtimes.evm.forks.validation import InvalidBlock, mismatch
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


_MAX_EXTRA: Final = 32
_MIN_GAS_LIMIT: Final = 5000
_MAX_GAS_LIMIT: Final = (1 << 63) - 1
_GAS_LIMIT_DIVISOR: Final = 1024
_ELASTICITY: Final = 2
FIRST_BASE_FEE: Final = 10**9
"""Base fee of the first block that has one (EIP-1559)."""
_MAX_OMMERS: Final = 2
OMMER_GENERATIONS: Final = 7
"""Number of a block's ancestors that may be the parent of an ommer."""
_NO_NONCE: Final = bytes(8)
_WRONG_ACCESS_LIST: Final = (
    "INVALID_BAL_HASH",
    "INVALID_BLOCK_ACCESS_LIST",
    "INVALID_BAL_EXTRA_ACCOUNT",
    "INVALID_BAL_MISSING_ACCOUNT",
)
"""Exception names for a wrong access list. A client detects only a wrong hash, so all of these names apply."""
_NOT_MINIMAL: Final = "the published list contains a slot without changes"
_WRONG_FIELDS: Final = (
    "INCORRECT_BLOCK_FORMAT",
    "RLP_STRUCTURES_ENCODING",
    "IMPORT_IMPOSSIBLE_LONDON_WRONG_PARENT",
    "IMPORT_IMPOSSIBLE_LEGACY_WRONG_PARENT",
    "IMPORT_IMPOSSIBLE_LEGACY",
    "IMPORT_IMPOSSIBLE_SHANGHAI",
    "IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI",
    "INVALID_BASEFEE_PER_GAS",
)
"""Exception names for a header with the fields of another fork; they depend on the fixture's generator."""


def check_block(block: RawBlock, parent: Header, fork: Fork, parent_fork: Fork, dao_block: int | None) -> None:
    """Check the size, the header and the body of a block. `check_ommers` checks the ommers."""
    if fork.block_size_limit is not None and block.size > fork.block_size_limit:
        message = f"the block has {block.size:,} bytes, the limit is {fork.block_size_limit:,}"
        raise InvalidBlock(message, "RLP_BLOCK_LIMIT_EXCEEDED")
    header = block.header
    check_header(header, parent, fork, parent_fork, dao_block)
    if block.ommers_hash != header.ommers_hash:
        raise InvalidBlock(mismatch("hash of the ommers", header.ommers_hash, block.ommers_hash), "INVALID_UNCLES_HASH")
    if fork.withdrawals and block.withdrawals is None:
        raise InvalidBlock("the block has no withdrawals", "RLP_WITHDRAWALS_NOT_READ", "INCORRECT_BLOCK_FORMAT")
    if block.withdrawals is not None:
        if not fork.withdrawals:
            names = ("RLP_STRUCTURES_ENCODING", "INCORRECT_BLOCK_FORMAT", "IMPORT_IMPOSSIBLE_SHANGHAI")
            raise InvalidBlock(f"blocks have no withdrawals in {fork.name}", *names)
        root = list_root(withdrawal.rlp() for withdrawal in block.withdrawals)
        if root != header.withdrawals_root:
            message = mismatch("withdrawals root", header.withdrawals_root or b"", root)
            raise InvalidBlock(message, "INVALID_WITHDRAWALS_ROOT")


def check_header(header: Header, parent: Header, fork: Fork, parent_fork: Fork, dao_block: int | None) -> None:
    """Check a header against the header of its parent."""
    if header.number != parent.number + 1:
        raise InvalidBlock(f"number {header.number} after {parent.number}", "INVALID_BLOCK_NUMBER")
    if header.timestamp <= parent.timestamp:
        message = f"timestamp {header.timestamp} is not after the parent's, {parent.timestamp}"
        raise InvalidBlock(message, "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT")
    _check_seal(header, parent, fork)
    _check_gas(header, parent, fork, parent_fork)
    _check_fields(header, fork)
    _check_extra_data(header, dao_block)
    if fork.has_base_fee:
        _check_base_fee(header, parent, parent_fork)
    if not fork.proof_of_stake:
        elapsed = header.timestamp - parent.timestamp
        has_ommers = parent.ommers_hash != EMPTY_OMMERS
        expected = block_difficulty(fork, parent.difficulty, header.number, elapsed, has_ommers)
        if header.difficulty != expected:
            raise InvalidBlock(f"difficulty {header.difficulty}, expected {expected}", "INVALID_DIFFICULTY")
    if fork.beacon_root:
        _check_excess_blob_gas(header, parent, fork, parent_fork)


def _check_seal(header: Header, parent: Header, fork: Fork) -> None:
    """Check the fields that distinguish proof of work from proof of stake (EIP-3675)."""
    if not fork.proof_of_stake:
        if header.difficulty == 0:
            message = f"difficulty is 0, but {fork.name} has proof of work"
            raise InvalidBlock(message, "IMPORT_IMPOSSIBLE_PARIS_WRONG_POS", "INVALID_DIFFICULTY")
        return
    if header.difficulty != 0:
        names = ["IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS", "INVALID_DIFFICULTY"]
        if parent.difficulty:
            names.insert(0, "IMPORT_IMPOSSIBLE_PARIS_WRONG_POW")
        raise InvalidBlock(f"difficulty {header.difficulty} under proof of stake", *names)
    if header.ommers_hash != EMPTY_OMMERS:
        raise InvalidBlock("a block under proof of stake must not have ommers", "IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS")
    if header.nonce != _NO_NONCE:
        raise InvalidBlock("the nonce must be 0 under proof of stake", "INVALID_BLOCK_NONCE")


def _check_fields(header: Header, fork: Fork) -> None:
    expected = fork.header_fields
    found = [name for name in LATER_FIELDS if getattr(header, name) is not None]
    if found == [*expected]:
        return
    lacking = [name for name in expected if name not in found]
    wrong = f"needs {lacking[0]}" if lacking else f"has no {next(name for name in found if name not in expected)}"
    names = [*_WRONG_FIELDS]
    if "withdrawals_root" in lacking:
        names += ["INVALID_WITHDRAWALS_ROOT"]
    if {"blob_gas_used", "excess_blob_gas"} & {*lacking, *found}:
        names += ["INCORRECT_EXCESS_BLOB_GAS", "INCORRECT_BLOB_GAS_USED"]
    if "requests_hash" in {*lacking, *found}:
        names += ["INVALID_REQUESTS"]
    if "access_list_hash" in {*lacking, *found}:
        names += _WRONG_ACCESS_LIST
    raise InvalidBlock(f"a header of {fork.name} {wrong}", *names)


def _check_extra_data(header: Header, dao_block: int | None) -> None:
    if len(header.extra_data) > _MAX_EXTRA:
        message = f"extra data of {len(header.extra_data)} bytes, the limit is {_MAX_EXTRA}"
        raise InvalidBlock(message, "EXTRA_DATA_TOO_BIG")
    if dao_block is None or not dao_block <= header.number < dao_block + DAO_EXTRA_BLOCKS:
        return
    if header.extra_data != DAO_EXTRA_DATA:
        message = f"the first {DAO_EXTRA_BLOCKS} blocks of the DAO fork must have the extra data 'dao-hard-fork'"
        raise InvalidBlock(message, "EXTRA_DATA_INVALID_DAO")


def _check_gas(header: Header, parent: Header, fork: Fork, parent_fork: Fork) -> None:
    limit, before = header.gas_limit, parent.gas_limit
    if limit > _MAX_GAS_LIMIT:
        raise InvalidBlock(f"gas limit {limit} exceeds {_MAX_GAS_LIMIT}", "GASLIMIT_TOO_BIG", "INVALID_GASLIMIT")
    if fork.has_base_fee and not parent_fork.has_base_fee:
        before *= _ELASTICITY
    if abs(limit - before) >= before // _GAS_LIMIT_DIVISOR or limit < _MIN_GAS_LIMIT:
        message = (
            f"gas limit {limit} after {before}: it must change by less than 1/1,024 and be at least {_MIN_GAS_LIMIT}"
        )
        raise InvalidBlock(message, "INVALID_GASLIMIT")
    if header.gas_used > limit:
        names = ("INVALID_GAS_USED_ABOVE_LIMIT", "GAS_USED_OVERFLOW", "INVALID_GAS_USED")
        raise InvalidBlock(f"gas used {header.gas_used} exceeds the gas limit {limit}", *names)


def _check_base_fee(header: Header, parent: Header, parent_fork: Fork) -> None:
    fee = FIRST_BASE_FEE
    if parent_fork.has_base_fee:
        fee = next_base_fee(parent.base_fee or 0, parent.gas_used, parent.gas_limit)
    if header.base_fee != fee:
        raise InvalidBlock(f"base fee {header.base_fee}, expected {fee}", "INVALID_BASEFEE_PER_GAS")


def _check_excess_blob_gas(header: Header, parent: Header, fork: Fork, parent_fork: Fork) -> None:
    blobs, expected = ForkBlobs(fork), 0
    if parent_fork.beacon_root:
        expected = blobs.next_excess(parent.excess_blob_gas or 0, parent.blob_gas_used or 0, parent.base_fee or 0)
    if header.excess_blob_gas != expected:
        message = f"excess blob gas {header.excess_blob_gas}, expected {expected}"
        raise InvalidBlock(message, "INCORRECT_EXCESS_BLOB_GAS")


def check_access_list(header: Header, found: BlockAccessList | None, published: BlockAccessList | None) -> None:
    """Check the hash and the size of a block's access list (EIP-7928).

    `found` is the list of the block's accesses, None in a fork without access lists. `published` is the list of the
    block's producer, if it is known.
    """
    if found is None:
        return
    expected = header.access_list_hash or b""
    if found.hash() != expected:
        if published is not None and published.hash() == expected:
            difference = first_difference(published, found)
            message = f"published block access list: {difference}" if difference else _NOT_MINIMAL
            raise InvalidBlock(message, *_WRONG_ACCESS_LIST)
        raise InvalidBlock(mismatch("hash of the block access list", expected, found.hash()), *_WRONG_ACCESS_LIST)
    limit = header.gas_limit // ITEM_GAS
    if found.items > limit:
        message = f"the block access list has {found.items} addresses and slots, the limit is {limit}"
        raise InvalidBlock(message, "BLOCK_ACCESS_LIST_GAS_LIMIT_EXCEEDED")


def check_ommers(
    block: RawBlock, ancestors: Mapping[bytes, Header], known: Set[bytes]
) -> Iterator[tuple[Header, Header]]:
    """Check the number of a block's ommers and their relation to its ancestors; yield each ommer with its parent.

    `ancestors` are the last `OMMER_GENERATIONS` ancestors by hash, `known` the hashes of their ommers.
    """
    if len(block.ommers) > _MAX_OMMERS:
        message = f"{len(block.ommers)} ommers, at most {_MAX_OMMERS} are allowed"
        raise InvalidBlock(message, "TOO_MANY_UNCLES", "INVALID_UNCLES")
    used = set(known)
    for ommer in block.ommers:
        ommer_hash = ommer.hash()
        if ommer_hash in ancestors or ommer_hash == block.hash:
            raise InvalidBlock("an ommer is an ancestor of its block", "UNCLE_IS_ANCESTOR", "UNCLE_IN_CHAIN")
        if ommer_hash in used:
            if ommer_hash in known:
                raise InvalidBlock("an ommer is also an ommer of an ancestor", "UNCLE_IN_CHAIN")
            raise InvalidBlock("an ommer appears twice", "UNCLES_NOT_UNIQUE", "UNCLE_IN_CHAIN", "UNCLE_IS_BROTHER")
        used.add(ommer_hash)
        if ommer.parent_hash == block.header.parent_hash:
            message = "an ommer has the same parent as its block"
            raise InvalidBlock(message, "UNCLE_IS_BROTHER", "UNCLE_PARENT_INCORRECT")
        parent = ancestors.get(ommer.parent_hash)
        if parent is None:
            names = ("UNCLE_PARENT_INCORRECT", "UNCLE_UNKNOWN_PARENT", "UNCLE_IS_ANCESTOR")
            raise InvalidBlock("an ommer's parent is not an ancestor of its block", *names)
        yield ommer, parent


_MINIMUM: Final = 131_072
_BOUND_DIVISOR: Final = 2048
_LOWEST_FACTOR: Final = -99
_BOMB_PERIOD: Final = 100_000
_MAX_PERIODS: Final = 300
"""Limit of the bomb's periods; with more, the difficulty does not fit in the 256 bits of a header field."""


def block_difficulty(fork: Fork, parent: int, number: int, elapsed: int, parent_has_ommers: bool) -> int:
    """Return the difficulty of block `number` under proof of work.

    `parent` is the difficulty of its parent, `elapsed` the time since its parent in seconds. Sources: the execution
    specifications' `calculate_block_difficulty` of Frontier, Homestead and Byzantium; EIP-2, EIP-100, and the delays of
    the difficulty bomb (EIP-649, 1234, 2384, 3554, 4345, 5133).
    """
    match fork.difficulty_rule:
        case DifficultyRule.STEPS:
            factor = 1 if elapsed < 13 else -1
        case DifficultyRule.PROPORTIONAL:
            factor = max(1 - elapsed // 10, _LOWEST_FACTOR)
        case _:
            factor = max((2 if parent_has_ommers else 1) - elapsed // 9, _LOWEST_FACTOR)
    plain = max(parent + parent // _BOUND_DIVISOR * factor, _MINIMUM)
    periods = min(max(number - fork.bomb_delay, 0) // _BOMB_PERIOD, _MAX_PERIODS)
    return plain + (1 << (periods - 2) if periods > 1 else 0)
