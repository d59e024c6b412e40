"""The console of a node: one line per transaction with a receipt, and the call tree of each failed transaction.

The output of `console.log` is printed too. To collect it, a transaction is executed again if it failed, or if it
called a contract whose code contains the console's address. This happens in the background (`watching.Background`)
within `explaining_time`. Lines are printed once all of them are known.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from hypervisor.address import Address
from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.machine import Hypervisor
from hypervisor.tracing import CallTrees
from localnet.calls.overrides import NONE, Overrides
from localnet.calls.simulate import traced_call
from localnet.calls.time_limit import OutOfTime, TimeLimit, explaining_time
from localnet.chain.watching import Background, InlineBackground, Preempted
from localnet.contracts.artifacts import ArtifactFolders
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.network import Network
from localnet.rules.call_request import CallRequest
from localnet.state.contract_state import code_of
from localnet.traces.call_text import call_lines, tree_console
from localnet.traces.called_interfaces import called_interfaces
from localnet.traces.console_log import MARK, without_logs
from localnet.traces.failure_place import FailurePlaces
from localnet.traces.trace import call_json, trace
from localnet.traces.trace_command import DEFAULT_URL, page_of, trace_command
from localnet.traces.trace_report import explain_trace
from store.cid import Cid

MAX_EXPLAINED: Final = 20
"""Transactions of a block that are executed again; of the others there is the line only."""

SAME_FAILURE: Final = 2.0
"""Seconds within which a repeated failing estimate counts as the same failure: tools try twice."""

MAX_ACTORS: Final = 500
"""Maximum number of actors searched for logging code. Above it, every transaction is re-executed."""

_GAVE_UP: Final = "gave up explaining it"

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
        self._newest: bytes | None = None
        """The transaction whose line is the last that was printed."""
        self._network = network
        self._url = url
        self._explored = explored
        self._artifacts = ArtifactFolders(folders)
        self._places = FailurePlaces(network.chain, self._artifacts)
        self._state = network.head.state
        self._logs = self._may_log()
        self._last_estimate: tuple[tuple[Cid, CallRequest], float] | None = None

    def listen(self) -> None:
        """Start printing."""
        self._network.chain.watchers.append(self)

    def applied(self, tipset: Tipset) -> None:
        """Print a line for each transaction of the new head, and explain them in the background."""
        is_changed_directly = tipset.before != self._state
        self._state = tipset.state
        room = MAX_EXPLAINED
        try:
            self._logs = self._logs or (is_changed_directly and self._may_log())
            for receipt in self._network.chain.index.receipts(tipset):
                self._logs = self._logs or MARK in receipt.execution.message.message.params
                if not self.enabled:
                    continue
                rules = self._network.rules
                print(receipt.line(rules.views.receipt_contract(receipt), self._end(receipt.exit_code)))
                if self._explored and not receipt.succeeded:
                    print(f"  page: {page_of(f'0x{receipt.hash.hex()}', self._url)}")
                self._newest = receipt.hash
                if room and (self._logs or not receipt.succeeded):
                    room -= 1
                    took = self._network.chain.making_took
                    self._explain_later("the transaction", took, partial(self._explain_transaction, receipt))
            sys.stdout.flush()
        except OSError:
            pass  # standard output is closed: the node continues
        except Exception:  # noqa: BLE001  # a watcher must not raise: the block is made, whatever is printed of it
            _LOG.exception("printing a transaction failed")

    def _explain_later(self, what: str, run: float, explain: Callable[[TimeLimit], None]) -> None:
        """Print details by re-execution in the background; the execution itself took `run` seconds."""
        limit = TimeLimit(explaining_time(run), self.background.should_yield)

        def explained() -> None:
            try:
                with limit.running():
                    explain(limit)
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

    def waits(self, candidate: Candidate) -> None:
        """Ignore pending transactions."""

    def estimate_failed(self, head: Tipset, request: CallRequest, run: float) -> None:
        """Explain a transaction that is never made, since the estimate of its gas failed at `head` in `run` seconds.

        An identical estimate that follows immediately is not printed.
        """
        asked, before = (head.state, request), self._last_estimate
        self._last_estimate = asked, time.monotonic()
        again = before is not None and before[0] == asked and time.monotonic() - before[1] < SAME_FAILURE
        if self.enabled and not again:
            self._explain_later("an estimate", run, partial(self._explain_estimate, head, request))

    def _explain_estimate(self, head: Tipset, request: CallRequest, limit: TimeLimit) -> None:
        to = "new contract" if request.to is None else f"0x{request.to.hex()}"
        title = f"estimate  0x{request.sender.hex()} -> {to}  fails"
        machine = self._network.chain.machine_at(head)
        try:
            calls, lines = without_logs(_calls(machine, request, limit))
        except OutOfTime as error:
            self._print([f"{title}, no transaction is made", f"  {_GAVE_UP} {error}"])
            return
        code = calls[-1]["exitCode"] if calls else ExitCode.OK
        if code == ExitCode.OK:
            return  # only gas or funds are missing, as the error states
        found = {"calls": calls, "exitCode": code, "words": calls[-1]["words"], "gasUsed": calls[-1]["gas"]}
        shown = self._shown(found)
        place = self._place(lambda: self._places.of_call(machine, request, code, shown["why"]["path"], limit))
        head_lines = [
            f"{title}: {self._end(code)}, no transaction is made",
            *(f"  console.log: {line}" for line in lines),
        ]
        self._print(head_lines, shown, place)

    def called(
        self, machine: Hypervisor, head: Tipset | None, request: CallRequest, overrides: Overrides, run: float
    ) -> None:
        """Print the console output of a call or estimate that took `run` seconds, by executing it again.

        It ran at `head`, or on a separate machine if `head` is None.
        """
        if self.enabled and (self._logs or MARK in request.data or overrides.accounts):
            logs = partial(self._print_logs, machine, head, request, overrides)
            self._explain_later("the logs of a call", run, logs)

    def _print_logs(
        self, machine: Hypervisor, head: Tipset | None, request: CallRequest, overrides: Overrides, limit: TimeLimit
    ) -> None:
        """Print the logs of a call at `head`, or on a separate machine if `head` is None."""
        try:
            machine = machine if head is None else self._network.chain.machine_at(head)
            lines = without_logs(_calls(machine, request, limit, overrides))[1]
        except OutOfTime as error:
            self._print([f"console.log: gave up reading the lines of a call {error}"])
            return
        except Preempted:
            raise
        except HypervisorError:
            return  # an invalid call, whose response has the reason
        self._print([f"console.log: {line}" for line in lines])

    def _may_log(self) -> bool:
        """Return True if a contract's code contains the console's address, or there are too many to check."""
        machine = self._network.machine
        evm = machine.manifest.code("evm")
        for count, (actor, state) in enumerate(machine.state_tree.actors()):
            if count >= MAX_ACTORS or (state.code == evm and MARK in code_of(machine, Address.id(actor))):
                return True
        return False

    def _explain_transaction(self, receipt: TransactionReceipt, limit: TimeLimit) -> None:
        if self._network.chain.index.by_hash(receipt.tipset.hash) is None:
            return  # reverted by a reorg, so it cannot be re-executed
        shown = place = None
        ran_out = receipt.exit_code == ExitCode.SYS_OUT_OF_GAS
        try:
            found = trace(self._network.chain, receipt, limit=limit)
            ran_out = ran_out or (receipt.is_of_a_call and _called_end(found.calls) == ExitCode.SYS_OUT_OF_GAS)
            calls, logged = without_logs(found.calls)
            lines = [f"  console.log: {line}" for line in logged]
            if not receipt.succeeded:
                shown = self._shown({**found.as_json(), "calls": calls})
                path = shown["why"]["path"]
                place = self._place(lambda: self._places.of(receipt, path, limit))
        except OutOfTime as error:
            command = trace_command(f"0x{receipt.hash.hex()}", self._url)
            lines = [f"  {_GAVE_UP} {error}; `{command}` has no such limit"]
        if lines or shown is not None:
            own = self._newest == receipt.hash
            self._print(lines if own else [f"0x{receipt.hash.hex()}:", *lines], shown, place)
            self._newest = receipt.hash
        rules, gas_limit = self._network.rules, receipt.execution.message.message.gas_limit
        numerator, denominator = rules.simulations.estimate_margin
        has_room = gas_limit * numerator < rules.limits.block_gas * denominator  # otherwise the estimate fails as well
        if rules.limits.gas_advice and has_room and ran_out:
            print(f"  its limit of {gas_limit:,} gas is too low: {rules.limits.gas_advice}")

    def _end(self, exit_code: int) -> str:
        """Return the failure's name from the rules' own errors."""
        return self._network.rules.views.exit_text(exit_code) or exit_name(exit_code)

    def _place(self, find: Callable[[], str | None]) -> str | None:
        """Return the line to print for the location of a failure, None if it is not known."""
        try:
            place = find()
        except OutOfTime as error:
            return f"  gave up looking for its line {error}"
        return None if place is None else f"  at {place}"

    def _shown(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return a decoded trace with the reasons of its failure."""
        called = called_interfaces(self._network.machine, self._artifacts, found["calls"])
        return explain_trace(found, (*called, *self._network.interfaces))

    def _print(self, lines: Sequence[str], shown: dict[str, Any] | None = None, place: str | None = None) -> None:
        """Print console lines, and the call tree, reason and source position of a failure."""
        for line in lines:
            print(line)
            self._newest = None
        if shown is None:
            return
        self._newest, console = None, tree_console()
        console.print(call_lines(shown["calls"]))
        for number, reason in enumerate(shown["why"]["calls"]):
            console.print(Text(f"{'  because' if number else '  failed:'} {reason}", style="red"))
        if place is not None:
            console.print(Text(place, style="bold red"))


def _called_end(calls: Sequence[dict[str, Any]]) -> int:
    """Return the exit code of the only call that a message to ApplyAndCall has made."""
    called = calls[0]["calls"] if calls else ()
    return called[-1]["exitCode"] if called else ExitCode.OK


def _calls(
    machine: Hypervisor, request: CallRequest, limit: TimeLimit, overrides: Overrides = NONE
) -> list[dict[str, Any]]:
    """Trace the subcalls of a call. Raises the errors of the limit and of `listened`."""
    trees = CallTrees()
    return traced_call(
        machine, request, limit.on(trees), lambda: [call_json(machine, call) for call in trees.roots], overrides
    )
