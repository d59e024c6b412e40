"""The console of a node: a line for each transaction that has a receipt, and all calls of one that failed.

What contracts write with `console.log` is printed, too. A transaction is executed again to be told, so only those are
that failed, or may have written something: from the first contract on whose code has the console's address in it. That
is done once the client has its answer (`watching.Later`), and takes no longer than `explaining_time`.
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

from bridge.addresses import eth_address, to_filecoin
from bridge.cbor import ParamsError
from hypervisor.address import Address
from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode, exit_name
from hypervisor.machine import Hypervisor
from hypervisor.tracing import CallTrees
from localnet.artifacts import ArtifactFolders
from localnet.call_request import CallRequest
from localnet.call_text import call_lines, tree_console
from localnet.console_log import MARK, without_logs
from localnet.contract_state import code_of, code_that_runs
from localnet.execution import Candidate
from localnet.failure_place import FailurePlaces
from localnet.network import Network
from localnet.overrides import Overrides
from localnet.records import Tipset, TransactionReceipt
from localnet.simulate import listened
from localnet.trace import call_json, trace
from localnet.trace_report import told
from localnet.trace_words import NamedInterface
from localnet.watching import Later, at_once
from store.blockstore import BlockNotFound
from store.cid import Cid

MOST_TOLD: Final = 20
"""Transactions of a block that are executed again; of the others there is the line only."""

SAME_FAILURE: Final = 2.0
"""Seconds in which a failed estimate that is asked again is the same failure: tools try twice before they give up."""

MOST_ACTORS: Final = 500
"""Among more actors nobody looks for those that log: every transaction is executed again then."""

SHORTEST: Final = 1.0
"""Seconds that an explanation may always take."""

_LOG: Final = logging.getLogger(__name__)


def explaining_time(run: float) -> float:
    """Seconds that telling a failure may take whose execution takes so many: twice that, at least `SHORTEST`."""
    return max(SHORTEST, 2 * run)


class Console:
    """Tells people on standard output what happens on a network. It is a watcher (`localnet.watching`)."""

    def __init__(self, network: Network, folders: Sequence[Path] | None = None) -> None:
        """`folders` have compiled contracts, by default those of `ArtifactFolders`."""
        self.enabled = True
        """Whether it tells anything (`anvil_setLoggingEnabled`)."""
        self.later: Later = at_once
        self._newest: bytes | None = None
        """The transaction whose line is the last that was printed."""
        self._network = network
        self._artifacts = ArtifactFolders(folders)
        self._places = FailurePlaces(network.chain, self._artifacts)
        self._state = network.head.state
        self._logs = self._may_log()
        self._last_estimate: tuple[tuple[Cid, CallRequest], float] | None = None

    def listen(self) -> None:
        """Begin to tell."""
        self._network.chain.watchers.append(self)

    def applied(self, tipset: Tipset) -> None:
        """Tell the transactions of the new head: a line for each, and later what is to be said of them besides."""
        changed_by_hand = tipset.before != self._state
        self._state = tipset.state
        room = MOST_TOLD
        try:
            self._logs = self._logs or (changed_by_hand and self._may_log())
            for receipt in self._network.chain.index.receipts(tipset):
                self._logs = self._logs or MARK in receipt.execution.message.message.params
                if not self.enabled:
                    continue
                print(receipt)
                self._newest = receipt.hash
                if room and (self._logs or not receipt.succeeded):
                    room -= 1
                    self._explain_later("a transaction", partial(self._tell, receipt))
            sys.stdout.flush()
        except OSError:
            pass  # the node goes on where nobody reads any more
        except Exception:  # noqa: BLE001  # a watcher must not raise: the block is made, whatever there is to tell of it
            _LOG.exception("a transaction could not be told")

    def _explain_later(self, what: str, explain: Callable[[], None]) -> None:
        """Print what an execution again shows, once nobody waits for an answer."""

        def explained() -> None:
            try:
                explain()
                sys.stdout.flush()
            except OSError:
                pass  # nobody reads any more
            except Exception:  # noqa: BLE001  # the node goes on, whatever there is to tell
                _LOG.exception("%s could not be told", what)

        self.later(explained)

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Nothing is told of what is gone."""
        self._state = head.state

    def waits(self, candidate: Candidate) -> None:
        """Nothing is told of what waits."""

    def estimate_failed(self, request: CallRequest) -> None:
        """Tell a transaction that was never made, since already the estimate of its gas failed at the head."""
        asked, before = (self._network.head.state, request), self._last_estimate
        self._last_estimate = asked, time.monotonic()
        again = before is not None and before[0] == asked and time.monotonic() - before[1] < SAME_FAILURE
        if self.enabled and not again:
            self._explain_later("an estimate", partial(self._tell_estimate, self._network.head, request))

    def _tell_estimate(self, head: Tipset, request: CallRequest) -> None:
        started, trees = time.monotonic(), CallTrees()
        machine = self._network.chain.machine_at(head)
        tree = listened(machine, request, trees, lambda: [call_json(machine, call) for call in trees.roots])
        run = time.monotonic() - started
        calls, lines = without_logs(tree)
        code = calls[-1]["exitCode"] if calls else ExitCode.OK
        if code == ExitCode.OK:
            return  # it fails for want of gas or funds only, which the error says
        to = "new contract" if request.to is None else f"0x{request.to.hex()}"
        print(f"estimate  0x{request.sender.hex()} -> {to}  fails: {exit_name(code)}, no transaction is made")
        self._newest = None
        for line in lines:
            print(f"  console.log: {line}")
        found = {"calls": calls, "exitCode": code, "words": calls[-1]["words"], "gasUsed": calls[-1]["gas"]}
        rest = explaining_time(run) - run
        self._tell_calls(found, lambda path: self._places.of_call(machine, request, code, path, rest))

    def asked(self, machine: Hypervisor, request: CallRequest, overrides: Overrides) -> None:
        """Tell what contracts log in a call, or in an estimate: it is made once more for that."""
        if self.enabled and (self._logs or MARK in request.data or overrides.accounts):
            head = self._network.head if machine is self._network.machine else None
            self._explain_later("what a call logs", partial(self._tell_logs, machine, head, request, overrides))

    def _tell_logs(self, machine: Hypervisor, head: Tipset | None, request: CallRequest, overrides: Overrides) -> None:
        """Of a call on a machine, which is the network's own at `head` if one is given."""
        trees = CallTrees()
        try:
            machine = machine if head is None else self._network.chain.machine_at(head)
            tree = listened(
                machine, request, trees, lambda: [call_json(machine, call) for call in trees.roots], overrides
            )
        except HypervisorError:
            return  # a call that cannot be made: whoever asks is told why
        for line in without_logs(tree)[1]:
            print(f"console.log: {line}")
            self._newest = None

    def _may_log(self) -> bool:
        """Whether a contract at the head has the console's address in its code; true where there are many actors."""
        machine = self._network.machine
        evm = machine.manifest.code("evm")
        for count, (actor, state) in enumerate(machine.state_tree.actors()):
            if count >= MOST_ACTORS or (state.code == evm and MARK in code_of(machine, Address.id(actor))):
                return True
        return False

    def _tell(self, receipt: TransactionReceipt) -> None:
        if self._network.chain.index.by_hash(receipt.tipset.hash) is None:
            return  # the chain went back, and what it went back behind is not to be executed again
        started = time.monotonic()
        found = trace(self._network.chain, receipt)
        run = time.monotonic() - started
        calls, lines = without_logs(found.calls)
        if (lines or not receipt.succeeded) and receipt.hash != self._newest:
            print(f"0x{receipt.hash.hex()}:")  # others were told in between
            self._newest = receipt.hash
        for line in lines:
            print(f"  console.log: {line}")
        if receipt.succeeded:
            return
        rest = explaining_time(run) - run
        self._tell_calls({**found.as_json(), "calls": calls}, lambda path: self._places.of(receipt, path, rest))
        advice = self._network.rules.gas_advice
        if advice and receipt.exit_code == ExitCode.SYS_OUT_OF_GAS:
            limit = receipt.execution.message.message.gas_limit
            print(f"  its limit of {limit:,} gas is too low: {advice}")

    def _tell_calls(self, found: dict[str, Any], place_of: Callable[[Sequence[int]], str | None]) -> None:
        shown = told(found, (*self._interfaces(found["calls"]), *self._network.interfaces))
        console = tree_console()
        console.print(call_lines(shown["calls"]))
        for number, reason in enumerate(shown["why"]["calls"]):
            console.print(Text(f"{'  because' if number else '  failed:'} {reason}", style="red"))
        place = place_of(shown["why"]["path"])
        if place is not None:
            console.print(Text(f"  at {place}", style="bold red"))

    def _interfaces(self, calls: Sequence[dict[str, Any]]) -> list[NamedInterface]:
        """The interfaces of the contracts that are called, by their code, and behind them all that are known."""
        rest = [NamedInterface("contract", found.interface) for found in self._artifacts.contracts()]
        every, own = list(calls), dict[tuple[str, str], NamedInterface]()
        for call in every:
            every.extend(call["calls"])
            address = call["address"]
            if call["actor"] == "evm" and address is not None:
                compiled = self._artifacts.running(self._code(call))
                if compiled is not None:
                    own[address, compiled.name] = NamedInterface(compiled.name, compiled.interface, address)
        return [*own.values(), *rest]

    def _code(self, call: dict[str, Any]) -> bytes:
        address = to_filecoin(eth_address(bytes.fromhex(call["address"][2:])))
        try:
            return code_that_runs(self._network.machine, address, call["method"], bytes.fromhex(call["params"][2:]))
        except (ParamsError, BlockNotFound):
            return b""
