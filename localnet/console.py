"""The console of a node: one line per transaction with a receipt, and the call tree of each failed transaction.

The output of `console.log` is printed too. To collect it, a transaction is executed again if it failed, or if it
called a contract whose code contains the console's address (`localnet.explanations`). This happens in the background
(`watching.Background`) within `explanation_seconds`. Lines are printed once all of them are known.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from localnet.calls.overrides import Overrides
from localnet.calls.time_limit import TimeLimit, explanation_seconds
from localnet.chain.watching import Background, InlineBackground, Preempted
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.network import Network
from localnet.rules.facts import CallRequest
from localnet.rules.parts import exit_text
from localnet.state.controls import code_of
from localnet.traces.console_log import MARK
from localnet.traces.trace_command import DEFAULT_URL, page_of
from store.cid import Cid

if TYPE_CHECKING:
    from localnet.explanations import Explanations

MAX_EXPLAINED: Final = 20
"""Maximum number of transactions per block that are re-executed; others are printed without details."""

SAME_FAILURE: Final = 2.0
"""Seconds within which a repeated failing estimate counts as the same failure: tools try twice."""

MAX_ACTORS: Final = 500
"""Maximum number of actors searched for logging code. Above it, every transaction is re-executed."""

_LOG: Final = logging.getLogger(__name__)


class Console:
    """Prints the events of a network to standard output, as a watcher (`localnet.chain.watching`)."""

    def __init__(
        self,
        network: Network,
        folders: Sequence[Path] | None = None,
        url: str = DEFAULT_URL,
        *,
        explored: bool = False,
    ) -> None:
        """Create the console. `folders` contain compiled contracts (default: those of `ArtifactFolders`).

        Failures are printed with their page at `url` if the network is `explored` there.
        """
        self.enabled = True
        """True if output is enabled (`anvil_setLoggingEnabled`)."""
        self.background: Background = InlineBackground()
        self.newest: bytes | None = None
        """Hash of the transaction whose line was printed last; None after any other line."""
        self._network = network
        self._url = url
        self._explored = explored
        self._folders = folders
        self._state = network.head.state
        self._logs = self._may_log()
        self._last_estimate: tuple[tuple[Cid, CallRequest], float] | None = None
        self._found = self._handled = 0
        """Number of transactions and calls to explain, and of those that are explained or will not be."""

    @cached_property
    def _explanations(self) -> Explanations:
        from localnet.explanations import Explanations

        return Explanations(self._network, self, self._url, self._folders)

    def listen(self) -> None:
        """Start printing."""
        self._network.chain.watchers.append(self)

    def applied(self, tipset: Tipset) -> None:
        """Print a line for each transaction of the new head, and explain them in the background."""
        is_changed_directly = tipset.before != self._state
        self._state = tipset.state
        remaining = MAX_EXPLAINED
        try:
            self._logs = self._logs or (is_changed_directly and self._may_log())
            for receipt in self._network.chain.index.receipts(tipset):
                self._logs = self._logs or MARK in receipt.candidate.bare.params
                if not self.enabled:
                    continue
                rules = self._network.rules
                end = exit_text(rules, receipt.exit_code, native=receipt.is_native) or receipt.exit_name
                print(receipt.line(rules.views.receipt_contract(receipt), end))
                if self._explored and not receipt.succeeded:
                    print(f"  page: {page_of(f'0x{receipt.hash.hex()}', self._url)}")
                self.newest = receipt.hash
                if not self._logs and receipt.succeeded:
                    continue
                if not remaining:
                    self._found += 1
                else:
                    remaining -= 1
                    took = self._network.chain.making_took
                    self._explain_in_background("the transaction", took, _explain_transaction(receipt))
            sys.stdout.flush()
        except OSError:
            pass  # standard output is closed: the node continues
        except Exception:  # noqa: BLE001  # a watcher must not raise, because the block is already committed
            _LOG.exception("printing a transaction failed")

    def _explain_in_background(self, what: str, run: float, explain: Callable[[Explanations, TimeLimit], None]) -> None:
        """Print details by re-execution in the background; the execution itself took `run` seconds."""
        limit = TimeLimit(explanation_seconds(run), self.background.should_yield)
        number = self._found = self._found + 1

        def explained() -> None:
            try:
                if number > self._handled + 1:
                    print(f"  {number - self._handled - 1} transactions or calls before this one are not explained")
                self._handled = number
                explanations = self._explanations  # the time limit does not include its imports
                with limit.running():
                    explain(explanations, limit)
                sys.stdout.flush()
            except Preempted:
                raise
            except OSError:
                pass  # standard output is closed: the node continues
            except Exception:  # noqa: BLE001  # printing must not end the node
                _LOG.exception("explaining %s failed", what)

        self.background.later(explained)

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Ignore reverted blocks."""
        self._state = head.state

    def accepted(self, candidate: Candidate) -> None:
        """Ignore pending transactions."""

    def estimate_failed(self, head: Tipset, request: CallRequest, run: float) -> None:
        """Explain a gas estimate that failed at `head` after `run` seconds, so that its transaction is never sent.

        An identical estimate that follows immediately is not printed.
        """
        request_key, before = (head.state, request), self._last_estimate
        self._last_estimate = request_key, time.monotonic()
        again = before is not None and before[0] == request_key and time.monotonic() - before[1] < SAME_FAILURE
        if self.enabled and not again:
            self._explain_in_background(
                "an estimate",
                run,
                lambda explanations, limit: explanations.explain_estimate(head, request, limit),
            )

    def call_completed(
        self, machine: Hypervisor, head: Tipset | None, request: CallRequest, overrides: Overrides, run: float
    ) -> None:
        """Print the console output of a call or estimate that took `run` seconds, by executing it again.

        It ran at `head`, or on a separate machine if `head` is None.
        """
        if self.enabled and (self._logs or MARK in request.data or overrides.accounts):
            self._explain_in_background(
                "the logs of a call",
                run,
                lambda explanations, limit: explanations.print_logs(machine, head, request, overrides, limit),
            )

    def _may_log(self) -> bool:
        """Return True if a contract's code contains the console's address, or there are too many to check."""
        machine = self._network.machine
        for count, (actor, state) in enumerate(machine.state_tree.actors()):
            if count >= MAX_ACTORS or (
                machine.traits(state.code).is_contract and MARK in code_of(machine, Address.id(actor))
            ):
                return True
        return False


def _explain_transaction(receipt: TransactionReceipt) -> Callable[[Explanations, TimeLimit], None]:
    return lambda explanations, limit: explanations.explain_transaction(receipt, limit)
