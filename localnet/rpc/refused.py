"""Methods that have no meaning on Filecoin: what they ask for does not exist, and the error says so.

A tool that asks is told why, where an unknown method would look like an old node. Code: -32004 (EIP-1474).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from localnet.rpc.errors import NOT_SUPPORTED, RpcError
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.values import anything

_STATE: Final = "the state is no Merkle-Patricia trie: there is no such proof; Filecoin.ChainReadObj reads its blocks"
_HEADERS: Final = "a tipset's hash is not that of an RLP header: Filecoin.ChainReadObj reads its blocks"
_WORK: Final = "Filecoin has no proof of work"

REASONS: Final = {
    "eth_getProof": _STATE,
    "debug_executionWitness": _STATE,
    "debug_getRawHeader": _HEADERS,
    "debug_getRawBlock": _HEADERS,
    "debug_getRawReceipts": "receipts are no RLP here: Filecoin.ChainGetParentReceipts has them",
    "eth_blobBaseFee": "Filecoin has no blobs",
    "eth_getWork": _WORK,
    "eth_submitWork": _WORK,
    "eth_submitHashrate": _WORK,
    "eth_getBlockAccessList": "Filecoin's blocks have no access lists",
}
"""Why each of the methods is refused."""


def _refusal(reason: str) -> Callable[..., None]:
    def refuse(node: Node, first: Any = None, second: Any = None, third: Any = None) -> None:  # noqa: ARG001
        raise RpcError(NOT_SUPPORTED, reason)

    refuse.__doc__ = f"Refused: {reason}."
    return refuse


METHODS = tuple(
    Method(name, (optional(anything),) * 3, _refusal(reason), inline=True) for name, reason in REASONS.items()
)
