"""What Ethereum's test fixtures and transition tools write as JSON: numbers, addresses, accounts, transactions, blocks.

Numbers are hex strings, in older files decimal ones, and JSON integers; readers name the field that is wrong
(BadFixture).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bridge.addresses import ETH_ADDRESS_LENGTH, EthAddress
from hypervisor.errors import InvalidInput
from runtimes.evm.ethereum.alloc import Account
from runtimes.evm.ethereum.transactions import Authorization

_BIG = "0x:bigint "
_MAX_WORD = (1 << 256) - 1
AccessList = tuple[tuple[EthAddress, tuple[int, ...]], ...]


class BadFixture(InvalidInput):
    """JSON that is not what its format says."""


@contextmanager
def within(place: str) -> Iterator[None]:
    """Errors of what is read inside name the place first."""
    try:
        yield
    except BadFixture as error:
        raise BadFixture(f"{place}: {error}") from None


def read_field(fields: Any, name: str) -> Any:
    """A field that must be there."""
    if not isinstance(fields, Mapping):
        raise BadFixture(f"'{name}' is looked for in {fields!r:.60}, which is no object")
    if name not in fields:
        raise BadFixture(f"the field '{name}' is missing")
    return fields[name]


def read_number(value: Any, name: str) -> int:
    """A number that is not negative."""
    try:
        if isinstance(value, str):
            text = value.removeprefix(_BIG)
            number = (
                int(text or "0", 16)
                if text[:2] in ("0x", "0X") and len(text) > 2
                else int(text.removeprefix("0x") or "0")
            )
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise ValueError
        if number < 0:
            raise ValueError
    except ValueError:
        raise BadFixture(f"'{name}' is {value!r:.60}, expected a number") from None
    return number


def read_bytes(value: Any, name: str, length: int | None = None) -> bytes:
    """Bytes in hex; of exactly `length` where that is given."""
    try:
        data = bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise BadFixture(f"'{name}' is {value!r:.60}, expected bytes in hex") from None
    if length is not None and len(data) != length:
        raise BadFixture(f"'{name}' has {len(data)} bytes, expected {length}")
    return data


def read_address(value: Any, name: str) -> EthAddress:
    """Twenty bytes in hex."""
    return EthAddress(read_bytes(value, name, ETH_ADDRESS_LENGTH))


def read_account(fields: Any) -> Account:
    """An account with balance, nonce, code and storage, each of which may be absent."""
    if not isinstance(fields, Mapping):
        raise BadFixture(f"an account is an object, not {fields!r:.60}")
    storage = fields.get("storage") or {}
    if not isinstance(storage, Mapping):
        raise BadFixture(f"'storage' is {storage!r:.60}, expected an object")
    slots = {read_number(key, "storage"): read_number(word, "storage") for key, word in storage.items()}
    if any(key > _MAX_WORD or word > _MAX_WORD for key, word in slots.items()):
        raise BadFixture("'storage' has a key or a word over 256 bits")
    return Account(
        balance=read_number(fields.get("balance", 0), "balance"),
        nonce=read_number(fields.get("nonce", 0), "nonce"),
        code=read_bytes(fields.get("code", ""), "code"),
        storage={key: word for key, word in slots.items() if word},
    )


def read_accounts(fields: Any, name: str) -> dict[EthAddress, Account]:
    """Accounts by address."""
    if not isinstance(fields, Mapping):
        raise BadFixture(f"'{name}' is {fields!r:.60}, expected an object of accounts")
    accounts = {}
    for address, account in fields.items():
        with within(f"{name}, account {address}"):
            accounts[read_address(address, "address")] = read_account(account)
    return accounts


def read_access_list(items: Any) -> AccessList:
    """An access list; null counts as an empty one."""
    entries = []
    for item in items or ():
        keys = read_field(item, "storageKeys") or ()
        slots = tuple(read_number(key, "storageKeys") for key in keys)
        entries.append((read_address(read_field(item, "address"), "address"), slots))
    return tuple(entries)


def read_authorization(fields: Any) -> Authorization:
    """An authorization of EIP-7702."""
    return Authorization(
        chain_id=read_number(read_field(fields, "chainId"), "chainId"),
        address=read_address(read_field(fields, "address"), "address"),
        nonce=read_number(read_field(fields, "nonce"), "nonce"),
        parity=read_number(fields.get("yParity", fields.get("v")), "yParity"),
        r=read_number(read_field(fields, "r"), "r"),
        s=read_number(read_field(fields, "s"), "s"),
    )
