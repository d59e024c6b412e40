"""JSON-RPC errors: codes, and the conversion of network errors.

Codes: JSON-RPC 2.0, EIP-1474, EIP-7966, and lotus api/api_errors.go for codes above 0 (1 is an error without a code).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.abi.abi import AbiMismatch
from bridge.ethereum.reverts import LogTooLong
from hypervisor.errors import HypervisorError, InvalidInput
from localnet.errors import (
    AllowanceExceeded,
    BelowInclusionCost,
    CallFailed,
    CallHalted,
    NodeError,
    NotReproduced,
    TransactionFailed,
    TransactionRefused,
    UnknownBlock,
    UnknownTransaction,
)
from store.blocks.memory import RemoteHashMismatch, RemoteUnavailable
from store.blockstore import StoreError, StoreIOError, StoreReadOnly

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000
NOT_FOUND: Final = -32001
REJECTED: Final = -32003
NOT_SUPPORTED: Final = -32004
LOTUS_ERROR: Final = 1
EXECUTION_REVERTED: Final = 3
F3_DISABLED: Final = 4
NO_RECEIPT_IN_TIME: Final = 4
"""Code of EIP-7966; Ethereum's and Filecoin's methods share it."""
ACTOR_NOT_FOUND: Final = 11
NULL_ROUND: Final = 12


LIMIT_EXCEEDED: Final = SERVER_ERROR
"""Error code of a request that exceeds a limit.

EIP-1474's -32005 is not used, because alloy (cast, forge) and viem treat it as a rate limit and retry indefinitely.
"""


class RpcError(Exception):
    """An error in a response; `data` is any JSON value."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def as_json(self) -> dict[str, Any]:
        """Return the error object of a response."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


class NotYetAvailable(RpcError):
    """Raised for a result that may become available with the next block. The dispatcher retries for a while."""

    def __init__(self, message: str) -> None:
        super().__init__(SERVER_ERROR, message)


class ReceiptPending(RpcError):
    """Raised for a sent transaction whose client waits for the receipt (EIP-7966).

    The dispatcher calls `find` until it returns the receipt, for at most `seconds`.
    """

    def __init__(self, transaction_hash: bytes, seconds: float, find: Callable[[], Any]) -> None:
        text = f"the transaction was added to the mempool, but has no block after {seconds:g} seconds"
        super().__init__(NO_RECEIPT_IN_TIME, text, f"0x{transaction_hash.hex()}")
        self.seconds, self.find = seconds, find


def invalid_params(message: str) -> RpcError:
    """Return the error for invalid parameters."""
    return RpcError(INVALID_PARAMS, f"invalid params: {message}")


def no_private_key(owner: bytes) -> RpcError:
    """Return the error for an address whose key is needed."""
    text = f"unknown account: the node has no private key for 0x{owner.hex()}: use one of eth_accounts"
    return RpcError(SERVER_ERROR, text)


def from_exception(error: Exception) -> RpcError:
    """Return the JSON-RPC error of an exception; the details of an internal defect are not included."""
    match error:
        case RpcError():
            return error
        case BelowInclusionCost():
            return RpcError(SERVER_ERROR, str(error))
        case AllowanceExceeded():
            return RpcError(REJECTED, str(error))
        case CallHalted():  # as in geth
            return RpcError(SERVER_ERROR, str(error))
        case CallFailed():
            return RpcError(EXECUTION_REVERTED, str(error), f"0x{error.data.hex()}")
        case TransactionFailed():  # the data has the form of Hardhat's own network
            found = {"txHash": f"0x{error.receipt.hash.hex()}", "data": f"0x{error.data.hex()}"}
            return RpcError(EXECUTION_REVERTED, str(error), {"message": str(error), **found})
        case TransactionRefused():
            return RpcError(REJECTED, str(error))
        case UnknownBlock() | UnknownTransaction():
            return RpcError(NOT_FOUND, str(error))
        case LogTooLong():
            return RpcError(LIMIT_EXCEEDED, str(error))
        case NotReproduced():
            return RpcError(SERVER_ERROR, str(error))
        case InvalidInput() | AbiMismatch():
            return RpcError(INVALID_PARAMS, str(error))
        case NodeError():  # the forked node, under Ethereum's rules
            return RpcError(SERVER_ERROR, str(error))
        case RemoteUnavailable() | RemoteHashMismatch():  # the forked node, under Filecoin's rules
            return RpcError(SERVER_ERROR, str(error))
        case StoreIOError() | StoreReadOnly():  # the disk is full, removed, failing or read-only
            return RpcError(SERVER_ERROR, str(error))
        case HypervisorError() | StoreError():
            return RpcError(INTERNAL_ERROR, f"internal error: {error}")
        case _:
            return RpcError(INTERNAL_ERROR, f"internal error: {type(error).__name__}")
