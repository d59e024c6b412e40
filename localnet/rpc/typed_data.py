"""Signatures of typed data (EIP-712) by unlocked accounts."""

from __future__ import annotations

from typing import Any

import orjson

from bridge.ethereum.addresses import EthAddress
from localnet.rpc.errors import invalid_params
from localnet.rpc.eth.transactions import signing_account
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import address, as_data, format_value
from localnet.typed_data import typed_data_digest


def typed_data(value: Any) -> dict[str, Any]:
    """Read an object, or its JSON as text, as some wallets send it."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError as error:
            raise invalid_params(f"typed data: {error}") from None
    if not isinstance(value, dict):
        raise invalid_params(f"{format_value(value)} is not typed data: expected an object")
    return value


def sign_typed_data(node: Node, owner: EthAddress, content: dict[str, Any]) -> str:
    """Sign typed data with an unlocked account's key: 65 bytes r, s, v with v 27 or 28."""
    signature = signing_account(node, owner).sign_digest(typed_data_digest(content))
    return as_data(signature[:64] + bytes([27 + signature[64]]))


METHODS = (
    Method(
        "eth_signTypedData_v4",
        (address, typed_data),
        sign_typed_data,
        aliases=("eth_signTypedData_v3", "eth_signTypedData"),
    ),
)
