"""The view of the event loop's thread: it refuses queries that may take long, which then run on a query thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeVar

from hypervisor.machine.machine import Hypervisor
from hypervisor.threads import ShortExecutions
from hypervisor.types import Gas
from localnet.calls.overrides import NONE, Overrides
from localnet.ledger.records import Tipset
from localnet.rpc.node import Node
from localnet.rpc.node_view import NodeView, NotInline
from localnet.rules.call_request import CallRequest

T = TypeVar("T")

MAX_INLINE: Final = 20
"""Maximum number of messages that a query reads on the event loop's thread."""
_FILECOIN_LOG_GAS: Final = 100_000_000
_ETHEREUM_LOG_GAS: Final = 300_000
"""Maximum gas used by the tipsets of a log query: 1 % of the default block gas limit, enough for a few hundred logs."""


class InlineView(NodeView):
    """A view for short queries. Raises NotInline for others, and LongExecution for calls that exceed a limit."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._short = ShortExecutions()
        is_filecoin = node.network.rules.features.has_filecoin_blocks
        self._log_gas = _FILECOIN_LOG_GAS if is_filecoin else _ETHEREUM_LOG_GAS
        self._needs_stack = is_filecoin
        """True if calls need a large stack. The event loop's thread of a `Server` has one."""

    def require_small_read(self, messages: int, *, whole: bool = False) -> None:
        """Raise NotInline for more than `MAX_INLINE` messages, or for any message that is printed or executed."""
        if messages > (0 if whole else MAX_INLINE):
            raise NotInline

    def require_few_logs(self, tipsets: Iterable[Tipset]) -> None:
        """Raise NotInline if the tipsets used so much gas that they may have many logs."""
        if sum(tipset.gas_used for tipset in tipsets) > self._log_gas:
            raise NotInline

    def require_short_calls(self) -> None:
        """Raise NotInline if no call can run on this thread at present."""
        if self._short.pauses:
            raise NotInline

    def run_call(self, machine: Hypervisor, request: CallRequest, overrides: Overrides, call: Callable[[], T]) -> T:
        """Call as `NodeReader.run_call`, within the limit of short executions."""
        return super().run_call(machine, request, overrides, self._limited(machine, overrides, call))

    def run_estimate(self, request: CallRequest, estimate: Callable[[], Gas]) -> Gas:
        """Estimate as `NodeReader.run_estimate`, within the limit of short executions."""
        return super().run_estimate(request, self._limited(self.network.machine, NONE, estimate))

    def _limited(self, machine: Hypervisor, overrides: Overrides, execute: Callable[[], T]) -> Callable[[], T]:
        """Return an execution within the limit. Raises NotInline for overrides, and for another machine's state."""
        if not overrides.is_empty or machine is not self.network.machine:
            raise NotInline
        run = partial(self._short.run, machine, execute)
        return partial(machine.stacks.on_one_thread, run) if self._needs_stack else run
