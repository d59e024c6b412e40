"""Revert data of Solidity errors, encoded with eth-abi."""

from typing import Any

from eth_abi.abi import encode as abi_encode

from store.keccak import keccak


def error_data(signature: str, *arguments: Any) -> bytes:
    """Return the revert data of an error with these arguments."""
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(signature.encode())[:4] + abi_encode(types, arguments)
