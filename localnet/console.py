"""The console of a node: a line for each transaction that has a receipt, and all calls of one that failed.

What contracts write with `console.log` is printed, too. A transaction is executed again to be told, so only those are
that failed, or may have written something: from the first contract on whose code has the console's address in it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
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
from store.blockstore import BlockNotFound

MOST_TOLD: Final = 20
"""Transactions of a block that are executed again; of the others there is the line only."""

MOST_ACTORS: Final = 500
"""Among more actors nobody looks for those that log: every transaction is executed again then."""

_LOG: Final = logging.getLogger(__name__)


class Console:
    """Tells people on standard output what happens on a network. It is a watcher (`localnet.watching`)."""

    def __init__(self, network: Network, folders: Sequence[Path] | None = None) -> None:
        """`folders` have compiled contracts, by default those of `ArtifactFolders`."""
        self.enabled = True
        """Whether it tells anything (`anvil_setLoggingEnabled`)."""
        self._network = network
        self._artifacts = ArtifactFolders(folders)
        self._places = FailurePlaces(network.chain, self._artifacts)
        self._state = network.head.state
        self._logs = self._may_log()

    def listen(self) -> None:
        """Begin to tell."""
        self._network.chain.watchers.append(self)

    def applied(self, tipset: Tipset) -> None:
        """Tell the transactions of the new head."""
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
                if room and (self._logs or not receipt.succeeded):
                    room -= 1
                    self._tell(receipt)
            sys.stdout.flush()
        except OSError:
            pass  # the node goes on where nobody reads any more
        except Exception:  # noqa: BLE001  # a watcher must not raise: the block is made, whatever there is to tell of it
            _LOG.exception("a transaction could not be told")

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Nothing is told of what is gone."""
        self._state = head.state

    def waits(self, candidate: Candidate) -> None:
        """Nothing is told of what waits."""

    def estimate_failed(self, request: CallRequest) -> None:
        """Tell a transaction that was never made, since already the estimate of its gas failed at the head."""
        if not self.enabled:
            return
        machine, trees = self._network.machine, CallTrees()
        try:
            tree = listened(machine, request, trees, lambda: [call_json(machine, call) for call in trees.roots])
            calls, lines = without_logs(tree)
            code = calls[-1]["exitCode"] if calls else ExitCode.OK
            if code == ExitCode.OK:
                return  # it fails for want of gas or funds only, which the error says
            to = "new contract" if request.to is None else f"0x{request.to.hex()}"
            print(f"estimate  0x{request.sender.hex()} -> {to}  fails: {exit_name(code)}, no transaction is made")
            for line in lines:
                print(f"  console.log: {line}")
            found = {"calls": calls, "exitCode": code, "words": calls[-1]["words"], "gasUsed": calls[-1]["gas"]}
            self._tell_calls(found, lambda path: self._places.of_call(request, code, path))
            sys.stdout.flush()
        except OSError:
            pass  # nobody reads any more
        except Exception:  # noqa: BLE001  # whoever asked is told of the estimate's own failure, and of nothing else
            _LOG.exception("an estimate could not be told")

    def asked(self, machine: Hypervisor, request: CallRequest, overrides: Overrides) -> None:
        """Tell what contracts log in a call, or in an estimate: it is made once more for that."""
        if not self.enabled or not (self._logs or MARK in request.data or overrides.accounts):
            return
        trees = CallTrees()
        try:
            tree = listened(
                machine, request, trees, lambda: [call_json(machine, call) for call in trees.roots], overrides
            )
            for line in without_logs(tree)[1]:
                print(f"console.log: {line}")
            sys.stdout.flush()
        except OSError:
            pass  # nobody reads any more
        except HypervisorError:
            pass  # a call that cannot be made: whoever asks is told why
        except Exception:  # noqa: BLE001  # whoever asked is answered, whatever there is to tell
            _LOG.exception("what a call logs could not be told")

    def _may_log(self) -> bool:
        """Whether a contract at the head has the console's address in its code; true where there are many actors."""
        machine = self._network.machine
        evm = machine.manifest.code("evm")
        for count, (actor, state) in enumerate(machine.state_tree.actors()):
            if count >= MOST_ACTORS or (state.code == evm and MARK in code_of(machine, Address.id(actor))):
                return True
        return False

    def _tell(self, receipt: TransactionReceipt) -> None:
        found = trace(self._network.chain, receipt)
        calls, lines = without_logs(found.calls)
        for line in lines:
            print(f"  console.log: {line}")
        if receipt.succeeded:
            return
        self._tell_calls({**found.as_json(), "calls": calls}, lambda path: self._places.of(receipt, path))

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
