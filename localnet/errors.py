"""Errors of a network: transactions that it refuses, and executions that fail.

NetworkError
|- TransactionRefused    a transaction that never reaches a block; `reason` is a word for programs
|- TransactionFailed     a transaction in a block whose execution failed; `receipt` has the details
|- CallFailed            a call or an estimate that failed; exit code, revert data
|  `- AllowanceExceeded  an estimate for which no gas limit suffices (and its BelowInclusionCost)
|- UnknownBlock          a block that is not part of the chain
|- UnknownTransaction    a transaction that is not in a block of the chain
`- NotReproduced         a transaction that cannot be replayed, because the state was edited
NodeError                another node, such as that of a fork, that does not respond or responds with an error
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bridge.filecoin.receipts import failure_text
from hypervisor.errors import HypervisorError

if TYPE_CHECKING:
    from localnet.ledger.call_tree import CallTree
    from localnet.ledger.records import TransactionReceipt

FailureText = Callable[[str | None], str]
"""Function that formats a failure; its argument is the decoded revert, or None to show the bytes."""


_METHOD_NOT_FOUND: Final = -32601
"""JSON-RPC 2.0, section 5.1."""


class NetworkError(HypervisorError):
    """Base class of this package's errors; see the tree above.

    >>> from localnet import Network, NetworkError
    >>> with Network() as network:
    ...     try:
    ...         network.block(7)
    ...     except NetworkError as error:
    ...         print(f"{type(error).__name__}: {error}")
    UnknownBlock: block 7 is above the head, 0
    """


class TransactionRefused(NetworkError):
    """Raised for a transaction that is not accepted; nothing has changed. `reason` is machine-readable.

    >>> from localnet import Network, TransactionRefused
    >>> with Network() as network:
    ...     try:
    ...         network.send_native("f0100", value=network.balance("f0100") * 2)
    ...     except TransactionRefused as refused:
    ...         print(refused.reason)
    funds
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CallFailed(NetworkError):
    """A call with a nonzero exit code. `data` is the revert data, `error_message` the machine's message.

    The state is unchanged. `trace` is the call tree, from a new execution.

    >>> from localnet import CallFailed, Network
    >>> with Network() as network:
    ...     contract = network.deploy("examples/solidity/artifacts/DataCapName.json")
    ...     try:
    ...         network.call(contract, bytes(4))  # no function has this selector
    ...     except CallFailed as failed:
    ...         failed.exit_code == 33, failed.data, failed.trace
    (True, b'', FailedCall(exit EVM_CONTRACT_REVERTED, 1 calls))
    """

    def __init__(self, exit_code: int, data: bytes, error_message: str, text: FailureText | None = None) -> None:
        """Create the error; `text` is its message (default: Lotus's wording)."""
        self._text = text or partial(failure_text, exit_code, data, error_message)
        super().__init__(self._text(None))
        self.exit_code = exit_code
        self.data = data
        self.error_message = error_message
        self.retrace: Callable[[CallFailed], CallTree] | None = None

    def name_revert(self, revert: str) -> None:
        """Replace the revert reason by its name in the contract's interface."""
        self.args = (self._text(revert),)

    @property
    def trace(self) -> CallTree | None:
        """Call tree from a new execution on the current state; None unless `Network` made the call."""
        return None if self.retrace is None else self.retrace(self)


class CallHalted(CallFailed):
    """Raised under Ethereum's rules for a call that ended otherwise than by REVERT, so without data."""


class AllowanceExceeded(CallFailed):
    """Raised for an estimate whose message runs out of gas at the maximum limit."""


class BelowInclusionCost(AllowanceExceeded):
    """Raised for an estimate whose maximum limit does not even cover the message's inclusion in a block."""


class TransactionFailed(NetworkError):
    """Raised for a failed transaction in a block. `receipt` has its gas, exit code and trace.

    >>> from localnet import Network, TransactionFailed
    >>> with Network() as network:
    ...     contract = network.deploy("examples/solidity/artifacts/DataCapName.json")
    ...     try:
    ...         network.send(contract, data=bytes(4), gas_limit=10_000_000)
    ...     except TransactionFailed as failed:
    ...         failed.receipt.block_number, failed.exit_code
    (2, 33)
    """

    def __init__(self, receipt: TransactionReceipt, text: FailureText) -> None:
        """Create the error with a message."""
        self._text = text
        super().__init__(text(None))
        self.receipt = receipt
        self.error_message = receipt.error_message
        self.exit_code = receipt.exit_code
        self.data = receipt.return_data

    def name_revert(self, revert: str) -> None:
        """Replace the revert reason by its name in the contract's interface."""
        self.args = (self._text(revert),)


class UnknownBlock(NetworkError):
    """The block does not exist: a null round, a future block, or a hash of another chain."""


class UnknownTransaction(NetworkError):
    """Unknown transaction hash."""


class NotReproduced(NetworkError):
    """The state that a transaction executed on is no longer available."""


class NodeError(HypervisorError):
    """Raised if a node does not respond, or responds with an error.

    `data` is the error's data, for a revert its bytes; `code` is the JSON-RPC error code. `answered` is True if a node
    or a gateway in front of it responded; `node_message` is the node's message.
    """

    def __init__(
        self, message: str, data: Any = None, *, code: Any = None, answered: bool = False, node_message: str = ""
    ) -> None:
        super().__init__(message)
        self.node_message = node_message or message
        self.data = data
        self.code = code
        self.answered = answered

    @property
    def is_unknown_method(self) -> bool:
        """True if the node does not have the method, and has not refused the request for another reason."""
        return self.answered and self.code == _METHOD_NOT_FOUND
