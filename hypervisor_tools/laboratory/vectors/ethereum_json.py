"""JSON formats of Ethereum's test fixtures and transition tools: numbers, addresses, accounts, transactions, blocks.

Numbers are hex strings (decimal in older files) or JSON integers. Readers raise BadFixture with the name of the
invalid field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bridge.ethereum.addresses import ETH_ADDRESS_LENGTH, EthAddress
from bridge.ethereum.transactions import Authorization
from hypervisor.errors import InvalidInput
from runtimes.evm.blocks.alloc import AllocAccount
from store.untrusted import parse_json

_BIG = "0x:bigint "
_GZIP = b"\x1f\x8b"
_HEX = re.compile("0[xX][0-9a-fA-F]*")
_DECIMAL = re.compile("[0-9]{1,100}")
AccessList = tuple[tuple[EthAddress, tuple[int, ...]], ...]


class BadFixture(InvalidInput):
    """Raised for JSON that does not have the documented format."""


@contextmanager
def within(where: str) -> Iterator[None]:
    """Prefix the errors raised inside with the name of a field."""
    try:
        yield
    except BadFixture as error:
        raise type(error)(f"{where}: {error}") from None


def _excerpt(value: Any) -> str:
    """Return the start of the JSON text of a value, for an error."""
    return f"{json.dumps(value, default=str):.60}"


def read_json(data: bytes, where: str) -> Any:
    """Parse the JSON in a file's bytes. Raises BadFixture, also for excessive nesting and compressed files."""
    if data.startswith(_GZIP):
        raise BadFixture(f"{where} is compressed with gzip, expected JSON: decompress it with `gunzip --keep`")
    try:
        return parse_json(data)
    except ValueError as error:
        raise BadFixture(f"{where} is not valid JSON: {error}") from None


def read_object(value: Any, name: str) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise BadFixture(f"'{name}' is {_excerpt(value)}, expected an object")
    return value


def read_list(value: Any, name: str) -> list[Any]:
    """Return `value` if it is a JSON array; null is an empty array."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadFixture(f"'{name}' is {_excerpt(value)}, expected an array")
    return value


def read_field(fields: Any, name: str) -> Any:
    """Return a required field."""
    if not isinstance(fields, Mapping):
        raise BadFixture(f"expected an object with the field '{name}', found {_excerpt(fields)}")
    if name not in fields:
        raise BadFixture(f"the field '{name}' is missing")
    return fields[name]


def read_number(value: Any, name: str, bits: int | None = 256) -> int:
    """Parse a non-negative number of at most `bits` bits (None: any size)."""
    number = -1
    if isinstance(value, str):
        text = value.removeprefix(_BIG)
        if _HEX.fullmatch(text):
            number = int(text[2:] or "0", 16)
        elif _DECIMAL.fullmatch(text):
            number = int(text)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number < 0:
        raise BadFixture(f"'{name}' is {_excerpt(value)}, expected a number")
    if bits is not None and number >> bits:
        raise BadFixture(f"'{name}' is {_excerpt(value)}, which is over {bits} bits")
    return number


def read_bytes(value: Any, name: str, length: int | None = None) -> bytes:
    """Parse bytes in hex, of exactly `length` if given."""
    try:
        data = bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise BadFixture(f"'{name}' is {_excerpt(value)}, expected bytes in hex") from None
    if length is not None and len(data) != length:
        raise BadFixture(f"'{name}' has {len(data)} bytes, expected {length}")
    return data


def read_address(value: Any, name: str) -> EthAddress:
    """Parse an address."""
    return EthAddress(read_bytes(value, name, ETH_ADDRESS_LENGTH))


def read_account(fields: Any) -> AllocAccount:
    """Parse an account with optional balance, nonce, code and storage."""
    account = read_object(fields, "account")
    storage = read_object(account.get("storage") or {}, "storage")
    slots = {read_number(key, "storage"): read_number(word, "storage") for key, word in storage.items()}
    return AllocAccount(
        balance=read_number(account.get("balance", 0), "balance"),
        nonce=read_number(account.get("nonce", 0), "nonce", 64),
        code=read_bytes(account.get("code", ""), "code"),
        storage={key: word for key, word in slots.items() if word},
    )


def read_accounts(fields: Any, name: str) -> dict[EthAddress, AllocAccount]:
    """Parse accounts by address."""
    accounts = {}
    for address, account in read_object(fields, name).items():
        with within(f"{name}, account {address}"):
            accounts[read_address(address, "address")] = read_account(account)
    return accounts


def read_access_list(items: Any) -> AccessList:
    """Parse an access list; null is an empty list."""
    entries = []
    for item in read_list(items, "access list"):
        keys = read_list(read_field(item, "storageKeys"), "storageKeys")
        slots = tuple(read_number(key, "storageKeys") for key in keys)
        entries.append((read_address(read_field(item, "address"), "address"), slots))
    return tuple(entries)


def read_authorization(item: Any) -> Authorization:
    """Parse an EIP-7702 authorization."""
    fields = read_object(item, "authorization")
    return Authorization(
        chain_id=read_number(read_field(fields, "chainId"), "chainId"),
        address=read_address(read_field(fields, "address"), "address"),
        nonce=read_number(read_field(fields, "nonce"), "nonce"),
        y_parity=read_number(fields.get("yParity", fields.get("v")), "yParity"),
        r=read_number(read_field(fields, "r"), "r"),
        s=read_number(read_field(fields, "s"), "s"),
    )
