"""Lotus' methods for tokens. Lotus' right `sign` is a part of `write` here. Source: lotus api/api_common.go."""

from __future__ import annotations

import base64
from typing import Final

from localnet.rpc.errors import SERVER_ERROR, RpcError, invalid_params
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.tokens import Right
from localnet.rpc.values import format_value, list_of, text

_PERMISSIONS: Final = {"read": Right.READ, "write": Right.WRITE, "sign": Right.WRITE, "admin": Right.ADMIN}


def auth_verify(node: Node, token: str) -> list[str]:
    """Return the permissions of a token; all of them on a node without tokens."""
    found = (Right.ADMIN, "") if node.tokens is None else node.tokens.find(token)
    if found is None:
        raise RpcError(SERVER_ERROR, "JWT Verification failed: unknown token")
    return [name for name, right in _PERMISSIONS.items() if right <= found[0]]


def auth_new(node: Node, permissions: list[str]) -> str:
    """Return a new token with permissions in Base64, and add it to the node's file of tokens."""
    if not permissions or not set(permissions) <= _PERMISSIONS.keys():
        raise invalid_params(f"{format_value(permissions)} is no list of permissions: use {', '.join(_PERMISSIONS)}")
    if node.tokens is None:
        raise RpcError(SERVER_ERROR, "every client of this node has all permissions: start it with --token-file")
    token = node.tokens.create(max(_PERMISSIONS[name] for name in permissions))
    return base64.b64encode(token.encode()).decode()


METHODS = (
    Method("Filecoin.AuthVerify", (text,), auth_verify, inline=True),
    Method("Filecoin.AuthNew", (list_of(text, len(_PERMISSIONS)),), auth_new, inline=True),
)
