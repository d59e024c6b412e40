"""Reads block-level access lists (EIP-7928) in the JSON form of blockchain tests and of go-ethereum."""

from __future__ import annotations

from typing import Any

from bridge.block_access_list import AccountAccess, BlockAccessList
from fvm_hypervisor.laboratory.vectors.ethereum_json import (
    read_address,
    read_bytes,
    read_field,
    read_list,
    read_number,
    read_object,
)


def read_block_access_list(items: Any) -> BlockAccessList:
    """Return the list in JSON. Raises BadFixture."""
    found = BlockAccessList()
    for item in read_list(items, "blockAccessList"):
        fields = read_object(item, "blockAccessList")
        found.accounts[read_address(read_field(fields, "address"), "address")] = AccountAccess(
            {
                read_number(read_field(slot, "slot"), "slot"): _numbers(slot, "slotChanges", "postValue")
                for slot in read_list(fields.get("storageChanges"), "storageChanges")
            },
            {read_number(slot, "storageReads") for slot in read_list(fields.get("storageReads"), "storageReads")},
            _numbers(fields, "balanceChanges", "postBalance"),
            _numbers(fields, "nonceChanges", "postNonce"),
            {
                _index(change): read_bytes(read_field(change, "newCode"), "newCode")
                for change in read_list(fields.get("codeChanges"), "codeChanges")
            },
        )
    return found


def _numbers(fields: Any, changes: str, value: str) -> dict[int, int]:
    return {
        _index(change): read_number(read_field(change, value), value)
        for change in read_list(read_object(fields, changes).get(changes), changes)
    }


def _index(change: Any) -> int:
    return read_number(read_field(change, "blockAccessIndex"), "blockAccessIndex", 32)
