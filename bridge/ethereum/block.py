"""Block data of Ethereum's rules, and block-level access lists.

Number, time, base fee and chain id are those of the context; its externs provide the randomness (the beacon's digest)
and the hashes of earlier blocks (the digests of tipset CIDs).

A block-level access list has the accounts and slots that a block touches, and their values after each change. A change
has the index of its cause: 0 for the system calls before the transactions, 1 for the first transaction, and the number
of transactions plus 1 for withdrawals and the system calls after them. Rules: EIP-7928. The JSON form is that of
`eth_getBlockAccessList` in Ethereum's execution API specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bridge.ethereum import rlp
from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, ZERO_ADDRESS, EthAddress
from hypervisor.types import SYSTEM_ACTOR, ActorID
from store.keccak import keccak

ETHEREUM: Final = "ethereum"
"""Name of the set of rules."""


def unit_of(rules: str | None) -> str:
    """Return the smallest unit of amounts under a set of rules, as errors name it."""
    return "wei" if rules == ETHEREUM else "attoFIL"


BLOCK_HASHES: Final = EthAddress(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
"""Address of the contract with the hashes of earlier blocks (EIP-2935)."""

SYSTEM_ADDRESS: Final = EthAddress(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))
"""Caller of system contracts (EIP-4788), and emitter of the logs of transfers (EIP-7708)."""

TRANSFER_EVENT: Final = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""First topic of the log of a transfer: the hash of `Transfer(address,address,uint256)`."""

BLOCK_HASHES_CODE: Final = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006"
    "545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)
"""Code of that contract."""


MAX_CODE_SIZE: Final = 24_576
CODE_LIMIT_OF_FORK: Final = -1
"""Value of `EthereumBlock.code_limit` for the fork's own limits."""


def emitter_address(emitter: ActorID, lookup: Callable[[ActorID], EthAddress]) -> EthAddress:
    """Return the Ethereum address of a log's emitter; `lookup` returns the address of any other actor.

    The machine records the logs of transfers (EIP-7708) as events of the system actor. Their address is
    `SYSTEM_ADDRESS`, not the masked ID of that actor.
    """
    return SYSTEM_ADDRESS if emitter == SYSTEM_ACTOR else lookup(emitter)


@dataclass(frozen=True, slots=True)
class EthereumBlock:
    """Block data of Ethereum's rules.

    `fork` is a name in the machine's table (`bridge.ethereum.execution.ForkTable`), empty for the newest. Gas is
    Ethereum gas. `filecoin_addresses`: masked IDs and Filecoin's precompiles exist in addition to Ethereum's addresses
    (false for Ethereum's tests). `code_limit` is the maximum code size in bytes of created contracts (EIP-170), with
    init code up to twice as long (EIP-3860); None: no limit, `CODE_LIMIT_OF_FORK`: those of the fork. `exempt` is a
    contract without code size limit: a test contract. `randomness` is the value of PREVRANDAO; None: from the externs.
    `blob_base_fee` (attoFIL per blob gas) overrides the fee that follows from the excess; None: no override.
    `slot_number` is the beacon chain's (EIP-7843). `removed_precompiles` are addresses whose accounts a call overrides.
    """

    fork: str = ""
    coinbase: EthAddress = ZERO_ADDRESS
    gas_limit: int = 60_000_000
    excess_blob_gas: int = 0
    filecoin_addresses: bool = True
    code_limit: int | None = CODE_LIMIT_OF_FORK
    exempt: EthAddress | None = None
    randomness: bytes | None = None
    blob_base_fee: int | None = None
    slot_number: int = 0
    removed_precompiles: frozenset[EthAddress] = frozenset()


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawal from the consensus layer. `amount` in gwei."""

    index: int
    validator: int
    address: EthAddress
    amount: int

    def rlp(self) -> bytes:
        """Return the withdrawal's encoding in a block."""
        numbers = rlp.number(self.index), rlp.number(self.validator)
        return rlp.encode([*numbers, bytes(self.address), rlp.number(self.amount)])


def next_base_fee(fee: int, gas_used: int, gas_limit: int) -> int:
    """Return a block's base fee from its parent's values (EIP-1559)."""
    target = gas_limit // 2
    if gas_used == target:
        return fee
    if gas_used > target:
        return fee + max(fee * (gas_used - target) // target // 8, 1)
    return fee - fee * (target - gas_used) // target // 8


ITEM_GAS: Final = 2000
"""Gas per item: a list has at most `gas limit / ITEM_GAS` addresses and slots (EIP-7928)."""

_INDEX_LENGTH: Final = 4
_NONCE_LENGTH: Final = 8
_ACCOUNT_PARTS: Final = 6
_Value = TypeVar("_Value")


@dataclass(slots=True)
class AccountAccess:
    """The accesses of one account. Slots and words are 256-bit numbers, balances are in wei.

    `writes` has the words of each written slot by index. `reads` has the slots that were only read.
    """

    writes: dict[int, dict[int, int]] = field(default_factory=dict)
    reads: set[int] = field(default_factory=set)
    balances: dict[int, int] = field(default_factory=dict)
    nonces: dict[int, int] = field(default_factory=dict)
    codes: dict[int, bytes] = field(default_factory=dict)

    def add_slot(self, slot: int, written: int | None, index: int) -> None:
        """Add an access to a slot, with the word that it has after the message if that has changed it."""
        if written is not None:
            self.writes.setdefault(slot, {})[index] = written
            self.reads.discard(slot)
        elif slot not in self.writes:
            self.reads.add(slot)


@dataclass(slots=True)
class BlockAccessList:
    """The accesses of a block, by account."""

    accounts: dict[EthAddress, AccountAccess] = field(default_factory=dict)

    def account(self, address: EthAddress) -> AccountAccess:
        """Return the accesses of an account, which is added if the list does not contain it."""
        return self.accounts.setdefault(address, AccountAccess())

    @property
    def items(self) -> int:
        """The number of addresses and slots, which the block gas limit bounds."""
        return len(self.accounts) + sum(len(each.writes) + len(each.reads) for each in self.accounts.values())

    def rlp(self) -> bytes:
        return rlp.encode([_account_item(address, self.accounts[address]) for address in sorted(self.accounts)])

    def hash(self) -> bytes:
        """Return the hash of the list, which is in the block's header."""
        return bytes(keccak(self.rlp()))

    def json(self) -> list[dict[str, Any]]:
        return [_account_json(address, self.accounts[address]) for address in sorted(self.accounts)]

    @classmethod
    def decode(cls, data: bytes) -> BlockAccessList:
        """Read the encoding. Raises RlpError."""
        found = cls()
        for item in rlp.read_list(rlp.decode(data)):
            address, writes, reads, balances, nonces, codes = rlp.read_list(item, _ACCOUNT_PARTS)
            raw = rlp.read_bytes(address)
            if len(raw) != ETH_ADDRESS_LENGTH:
                raise rlp.RlpError(f"an address has {len(raw)} bytes, expected {ETH_ADDRESS_LENGTH}")
            slots = (rlp.read_list(each, 2) for each in rlp.read_list(writes))
            found.accounts[EthAddress(raw)] = AccountAccess(
                {rlp.read_number(slot): dict(_changes(changes, rlp.read_number)) for slot, changes in slots},
                {rlp.read_number(slot) for slot in rlp.read_list(reads)},
                dict(_changes(balances, rlp.read_number)),
                dict(_changes(nonces, lambda value: rlp.read_number(value, _NONCE_LENGTH))),
                dict(_changes(codes, rlp.read_bytes)),
            )
        return found


def _changes(item: rlp.Item, read: Callable[[rlp.Item], _Value]) -> Iterator[tuple[int, _Value]]:
    for each in rlp.read_list(item):
        index, value = rlp.read_list(each, 2)
        yield rlp.read_number(index, _INDEX_LENGTH), read(value)


def _account_item(address: EthAddress, access: AccountAccess) -> rlp.Item:
    return [
        bytes(address),
        [[rlp.number(slot), _number_items(access.writes[slot])] for slot in sorted(access.writes)],
        [rlp.number(slot) for slot in sorted(access.reads)],
        _number_items(access.balances),
        _number_items(access.nonces),
        [[rlp.number(index), access.codes[index]] for index in sorted(access.codes)],
    ]


def _number_items(changes: Mapping[int, int]) -> rlp.Item:
    return [[rlp.number(index), rlp.number(changes[index])] for index in sorted(changes)]


def _account_json(address: EthAddress, access: AccountAccess) -> dict[str, Any]:
    return {
        "address": f"0x{address.hex()}",
        "storageChanges": [
            {"key": _word(slot), "changes": _json_changes(access.writes[slot], _word)} for slot in sorted(access.writes)
        ],
        "storageReads": [_word(slot) for slot in sorted(access.reads)],
        "balanceChanges": _json_changes(access.balances, hex),
        "nonceChanges": _json_changes(access.nonces, hex),
        "codeChanges": [
            {"index": hex(index), "code": f"0x{access.codes[index].hex()}"} for index in sorted(access.codes)
        ],
    }


def _json_changes(changes: Mapping[int, int], show: Callable[[int], str]) -> list[dict[str, str]]:
    return [{"index": hex(index), "value": show(changes[index])} for index in sorted(changes)]


def _word(value: int) -> str:
    return f"0x{value:064x}"


# --- comparison -------------------------------------------------------------------------------------------------------


def first_difference(found: BlockAccessList, expected: BlockAccessList) -> str:
    """Describe the first difference by account, then by slot or value, then by index; empty for equal lists."""
    for address in sorted({*found.accounts, *expected.accounts}):
        name = f"account 0x{address.hex()}"
        if address not in found.accounts:
            return f"{name} is missing"
        if address not in expected.accounts:
            return f"{name} is not expected"
        difference = next(_differences(found.accounts[address], expected.accounts[address]), "")
        if difference:
            return f"{name}, {difference}"
    return ""


def _differences(found: AccountAccess, expected: AccountAccess) -> Iterator[str]:
    for slot in sorted({*found.writes, *expected.writes}):
        yield from _change_differences(f"slot 0x{slot:x}", found.writes.get(slot, {}), expected.writes.get(slot, {}))
    for slot in sorted(found.reads ^ expected.reads):
        yield f"slot 0x{slot:x}: the read is {'not expected' if slot in found.reads else 'missing'}"
    yield from _change_differences("balance", found.balances, expected.balances)
    yield from _change_differences("nonce", found.nonces, expected.nonces)
    yield from _change_differences("code", found.codes, expected.codes)


def _change_differences(
    what: str, found: Mapping[int, int | bytes], expected: Mapping[int, int | bytes]
) -> Iterator[str]:
    for index in sorted({*found, *expected}):
        if found.get(index) != expected.get(index):
            yield f"{what} at index {index}: {_format(found.get(index))}, expected {_format(expected.get(index))}"


def _format(value: int | bytes | None) -> str:
    if value is None:
        return "no change"
    return f"0x{value.hex()}" if isinstance(value, bytes) else f"{value}"
