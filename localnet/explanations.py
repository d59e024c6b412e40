"""Explanations of failed transactions and of console output on the node's console, by re-execution.

`localnet.console` imports this module when it prints the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from rich.text import Text

from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from localnet.calls.overrides import Overrides
from localnet.calls.time_limit import OutOfTime, TimeLimit
from localnet.chain.watching import Preempted
from localnet.contracts.artifacts import ArtifactFolders
from localnet.errors import TransactionRefused
from localnet.ledger.call_tree import exit_name_of, is_native
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.network import Network
from localnet.rules.facts import CallRequest
from localnet.rules.parts import exit_text
from localnet.traces.call_places import FailurePlaces, called_interfaces
from localnet.traces.call_text import call_lines, tree_console
from localnet.traces.console_log import without_logs
from localnet.traces.failed_call import traced_calls
from localnet.traces.trace import trace
from localnet.traces.trace_command import trace_command
from localnet.traces.trace_report import explain_trace

_GAVE_UP: Final = "gave up explaining it"


class Output(Protocol):
    """The console that prints the explanations."""

    newest: bytes | None
    """Hash of the transaction whose line was printed last; None after any other line."""


class Explanations:
    """Re-executes transactions and calls of a network, and prints the results."""

    def __init__(self, network: Network, output: Output, url: str, folders: Sequence[Path] | None) -> None:
        """`folders` contain compiled contracts (default: those of `ArtifactFolders`)."""
        self._network = network
        self._output = output
        self._url = url
        self._artifacts = ArtifactFolders(folders)
        self._places = FailurePlaces(network.chain, self._artifacts)

    def explain_transaction(self, receipt: TransactionReceipt, limit: TimeLimit) -> None:
        """Print the console output of a transaction, and the reasons of its failure."""
        if self._network.chain.index.by_hash(receipt.tipset.hash) is None:
            return  # reverted by a reorg, so it cannot be re-executed
        shown = location = None
        ran_out = receipt.exit_code == ExitCode.SYS_OUT_OF_GAS
        try:
            found = trace(self._network.chain, receipt, limit=limit)
            ran_out = ran_out or (receipt.is_exit_of_call and _called_end(found.calls) == ExitCode.SYS_OUT_OF_GAS)
            calls, logged = without_logs(found.calls)
            lines = [f"  console.log: {line}" for line in logged]
            if not receipt.succeeded:
                shown = self._decode({**found.as_json(), "calls": calls})
                path = shown["why"]["path"]
                location = self._location_line(lambda: self._places.of(receipt, path, limit))
        except OutOfTime as error:
            command = trace_command(f"0x{receipt.hash.hex()}", self._url)
            lines = [f"  {_GAVE_UP} {error}; `{command}` has no such limit"]
        if lines or shown is not None:
            own = self._output.newest == receipt.hash
            self._print(lines if own else [f"0x{receipt.hash.hex()}:", *lines], shown, location)
            self._output.newest = receipt.hash
        rules, gas_limit = self._network.rules, receipt.candidate.bare.gas_limit
        numerator, denominator = rules.simulations.estimate_margin
        has_room = gas_limit * numerator < rules.limits.block_gas * denominator  # otherwise the estimate fails as well
        if rules.limits.gas_advice and has_room and ran_out:
            print(f"  its limit of {gas_limit:,} gas is too low: {rules.limits.gas_advice}")

    def explain_estimate(self, head: Tipset, request: CallRequest, limit: TimeLimit) -> None:
        """Print why the estimate of a transaction at `head` failed; nothing if only gas or funds are missing."""
        to = "new contract" if request.to is None else f"0x{request.to.hex()}"
        title = f"estimate  0x{request.sender.hex()} -> {to}  fails"
        machine = self._network.chain.machine_at(head)
        try:
            calls, lines = without_logs(traced_calls(machine, request, limit))
        except TransactionRefused:
            return
        except OutOfTime as error:
            self._print([f"{title}, no transaction is made", f"  {_GAVE_UP} {error}"])
            return
        code = calls[-1]["exitCode"] if calls else ExitCode.OK
        if code == ExitCode.OK:
            return  # only gas or funds are missing, as the error states
        found = {"calls": calls, "exitCode": code, "words": calls[-1]["words"], "gasUsed": calls[-1]["gas"]}
        shown = self._decode(found)
        location = self._location_line(
            lambda: self._places.of_call(machine, request, code, shown["why"]["path"], limit)
        )
        end = exit_text(self._network.rules, code, native=is_native(calls[-1])) or exit_name_of(code, calls)
        head_lines = [
            f"{title}: {end}, no transaction is made",
            *(f"  console.log: {line}" for line in lines),
        ]
        self._print(head_lines, shown, location)

    def print_logs(
        self, machine: Hypervisor, head: Tipset | None, request: CallRequest, overrides: Overrides, limit: TimeLimit
    ) -> None:
        """Print the logs of a call at `head`, or on a separate machine if `head` is None."""
        try:
            machine = machine if head is None else self._network.chain.machine_at(head)
            lines = without_logs(traced_calls(machine, request, limit, overrides))[1]
        except OutOfTime as error:
            self._print([f"console.log: gave up reading the lines of a call {error}"])
            return
        except Preempted:
            raise
        except HypervisorError:
            return  # an invalid call, whose response has the reason
        self._print([f"console.log: {line}" for line in lines])

    def _location_line(self, find: Callable[[], str | None]) -> str | None:
        """Return the line to print for the location of a failure, None if it is not known."""
        try:
            location = find()
        except OutOfTime as error:
            return f"  gave up looking for its line {error}"
        return None if location is None else f"  at {location}"

    def _decode(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return a decoded trace with the reasons of its failure."""
        called = called_interfaces(self._network.machine, self._artifacts, found["calls"])
        return explain_trace(found, (*called, *self._network.interfaces))

    def _print(self, lines: Sequence[str], shown: dict[str, Any] | None = None, location: str | None = None) -> None:
        """Print console lines, and the call tree, reason and source position of a failure."""
        for line in lines:
            print(line)
            self._output.newest = None
        if shown is None:
            return
        self._output.newest, console = None, tree_console()
        console.print(call_lines(shown["calls"]))
        for number, reason in enumerate(shown["why"]["calls"]):
            console.print(Text(f"{'  because' if number else '  failed:'} {reason}", style="red"))
        if location is not None:
            console.print(Text(location, style="bold red"))


def _called_end(calls: Sequence[dict[str, Any]]) -> int:
    """Return the exit code of the only call that a message to ApplyAndCall has made."""
    called = calls[0]["calls"] if calls else ()
    return called[-1]["exitCode"] if called else ExitCode.OK
