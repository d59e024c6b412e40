"""Block-level access lists: the accounts and slots that a block touches, and their values after each change.

A change has the index of its cause: 0 for the system calls before the transactions, 1 for the first transaction, and
the number of transactions plus 1 for withdrawals and the system calls after them. Rules: EIP-7928. The JSON form is
that of `eth_getBlockAccessList` in Ethereum's execution API specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bridge.ethereum import rlp
from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from store.keccak import keccak

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
