"""Source positions of the calls of contracts and of their ends, if the sources are known, and of failures.

A transaction is executed again on this project's EVM runtime, instruction by instruction. The result is plain data
that accompanies the call tree of `localnet.traces.trace`: program counters and the code that they refer to.
`add_lines` converts them to lines with the artifacts of local folders, so the node may run elsewhere. Interfaces of the
called contracts are found by the code that runs there and a compiler's output.

Only this project's EVM runtime reports instructions. If the official EVM actor runs the contracts, the transaction is
executed on this project's runtime, which makes the same calls. If the outcome differs, as it can near the gas limit,
no line of the failure is reported.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bridge.ethereum.addresses import eth_address, to_filecoin
from bridge.evm_steps import EvmStep, evm_frame
from bridge.filecoin.cbor import ParamsError
from hypervisor.installation import OFFICIAL_EVM, OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.opening import registry_factory
from hypervisor.machine.registry import Registry
from hypervisor.tracing import CallEnded, CallNode, CallTrees, Detail, RuntimeEvent, TraceEvent
from hypervisor.types import METHOD_CONSTRUCTOR
from localnet.calls.simulate import traced_call
from localnet.calls.time_limit import OutOfTime, TimeLimit
from localnet.chain.chain import Chain
from localnet.chain.view import ChainReader
from localnet.contracts.artifacts import ArtifactFolders, CompiledContract
from localnet.contracts.named_interface import NamedInterface
from localnet.contracts.source_maps import CodeMap
from localnet.ledger.records import TransactionReceipt
from localnet.rules.facts import CallRequest
from localnet.state.controls import code_that_runs
from localnet.traces.console_log import is_log
from localnet.traces.trace import Replay
from store.blockstore import BlockNotFound
from store.cid import Cid


def called_interfaces(
    machine: Hypervisor, artifacts: ArtifactFolders, calls: Sequence[Mapping[str, Any]]
) -> list[NamedInterface]:
    """Return the interfaces of the called contracts, by their code, followed by all known ones."""
    rest = [NamedInterface("contract", found.interface) for found in artifacts.contracts()]
    every, own = list(calls), dict[tuple[str, str], NamedInterface]()
    for call in every:
        every.extend(call["calls"])
        address = call["address"]
        if rest and call["abi"] and address is not None:
            compiled = artifacts.running(_code(machine, call))
            if compiled is not None:
                own[address, compiled.name] = NamedInterface(compiled.name, compiled.interface, address)
    return [*own.values(), *rest]


def _code(machine: Hypervisor, call: Mapping[str, Any]) -> bytes:
    address = to_filecoin(eth_address(bytes.fromhex(call["address"][2:])))
    try:
        return code_that_runs(machine, address, call["method"], bytes.fromhex(call["params"][2:]))
    except (ParamsError, BlockNotFound):
        return b""


TIME_LIMIT: Final = 3.0
"""Time limit in seconds for tracing instructions when a client requests call positions."""

_MAX_COUNTERS: Final = 4_096
"""Number of program counters used per call, more than the compiler's helpers (which have no line) execute."""


class Counters(CallTrees):
    """A tracer that records each call with the program counters of its instructions. Raises the errors of its limit."""

    detail = Detail.STEPS

    def __init__(self, limit: TimeLimit) -> None:
        super().__init__()
        self._limit = limit

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the trees."""
        super().event(event)
        if not isinstance(event, CallEnded):  # calls also end when the time limit aborts them
            self._limit.check()

    def step(self, event: RuntimeEvent, /) -> None:
        """Record the program counter of an instruction."""
        if isinstance(event, EvmStep) and self._open:
            self._limit.check()
            self._open[-1].note(event.pc)


def _newest(counters: array[int]) -> list[int]:
    """Return the last counters, newest first, without duplicates."""
    return list(dict.fromkeys(reversed(counters[-_MAX_COUNTERS:])))


def _last(call: CallNode) -> list[int]:
    """Return the last program counters of a call if it failed."""
    return [] if call.succeeded else _newest(call.counters)


class InstructionPlaces:
    """Use this project's EVM runtime, which reports instructions, unlike the official actor."""

    def __init__(self) -> None:
        self._registries: dict[Cid, Registry] = {}

    def machine_for(self, machine: Hypervisor) -> Hypervisor:
        """Return the machine, or a fork of it on which our own runtime runs the contracts."""
        if machine.registry.options["evm"] != OFFICIAL_EVM:
            return machine
        own = machine.fork()
        known = self._registries.get(own.manifest.data)
        if known is None:
            known = self._registries[own.manifest.data] = registry_factory(OWN_EVM, {})(own.manifest, own.store)
        own.registry = known
        return own


def call_places(
    chain: ChainReader, receipt: TransactionReceipt, instructions: InstructionPlaces
) -> dict[str, Any] | None:
    """Return the positions of a transaction's calls, or None if its re-execution exceeds the time limit.

    `codes` are codes in hex. `calls` has the structure of `localnet.traces.trace`, with the fields `code` (index in
    `codes`, None if no contract code ran), `creation` (true for init code), `made` (program counters of the caller,
    newest first), `ended` (program counters of a failed call) and `calls`.
    """
    limit = TimeLimit(TIME_LIMIT)
    listener = Counters(limit)
    try:
        replay = Replay(chain, receipt.tipset, receipt.index, limit)
        replay.block.machine = instructions.machine_for(replay.machine)
        replay.rehearse(listener, lambda: None)
    except OutOfTime:
        return None
    codes: dict[bytes, int] = {}
    nodes, made = list(listener.roots), dict[int, list[int]]()
    for node in nodes:  # iterative, since calls are up to 1,024 deep
        nodes.extend(node.calls)
        made |= {id(call): _newest(node.counters_before(call)) for call in node.calls}
    written: dict[int, dict[str, Any]] = {}
    for node in reversed(nodes):
        creation, code = code_of_call(node)
        written[id(node)] = {
            "code": codes.setdefault(code, len(codes)) if code else None,
            "creation": creation,
            "made": made.get(id(node), []),
            "ended": _last(node),
            "calls": [written.pop(id(below)) for below in node.calls],
        }
    return {"codes": [f"0x{code.hex()}" for code in codes], "calls": [written[id(node)] for node in listener.roots]}


def code_of_call(call: CallNode) -> tuple[bool, bytes]:
    """Return whether a call creates a contract, and the code that it ran: init code, contract code, or nothing."""
    frame = evm_frame(call)
    return (False, b"") if frame is None else (call.start.method == METHOD_CONSTRUCTOR, frame.code)


def line_of_code(artifacts: ArtifactFolders, creation: bool, code: bytes, counters: Iterable[int]) -> str | None:
    """Return `file.sol:line` of the newest program counter with a line; None if the source is unknown."""
    compiled = compiled_code(artifacts, creation, code)
    if compiled is None:
        return None
    code_map = compiled.debug().creation if creation else compiled.debug().runtime
    return None if code_map is None else code_map.line(counters)


def compiled_code(artifacts: ArtifactFolders, creation: bool, code: bytes) -> CompiledContract | None:
    """Return the compiled contract of a code."""
    if not code:
        return None
    return artifacts.creating(code) if creation else artifacts.running(code)


def add_lines(
    found: Mapping[str, Any], places: Mapping[str, Any], artifacts: ArtifactFolders
) -> tuple[dict[str, Any], list[NamedInterface]]:
    """Add `line` (the call site) and `failedAt` to a trace's calls; return it with its contracts' interfaces.

    `places` must be those of the trace's transaction; calls without a counterpart get no lines.
    """
    lines = _Lines(artifacts, [bytes.fromhex(code[2:]) for code in places["codes"]])
    top: list[dict[str, Any]] = []
    named: dict[tuple[str, str], NamedInterface] = {}
    todo = [(top, None, call, location) for call, location in reversed(_pairs(found, places))]
    while todo:  # iterative, since calls are up to 1,024 deep
        above, caller, call, location = todo.pop()
        compiled = lines.contract_of(location)
        if compiled is not None and call["address"] is not None:
            interface = NamedInterface(compiled.name, compiled.interface, call["address"])
            named.setdefault((call["address"], compiled.name), interface)
        inner: list[dict[str, Any]] = []
        made, failed = lines.line(caller, location, "made"), lines.line(location, location, "ended")
        above.append({**call, "line": made, "failedAt": failed, "calls": inner})
        todo.extend((inner, location, below, at) for below, at in reversed(_pairs(call, location)))
    return {**found, "calls": top}, list(named.values())


def failure_line(report: Mapping[str, Any]) -> str | None:
    """Return `file.sol:line` of the innermost contract on the path to the call that explains a decoded failure."""
    calls, found = report["calls"], None
    for location in report["why"]["path"] if report["why"] else ():
        found, calls = calls[location].get("failedAt") or found, calls[location]["calls"]
    return found


def _pairs(
    call: Mapping[str, Any], location: Mapping[str, Any] | None
) -> list[tuple[dict[str, Any], Mapping[str, Any] | None]]:
    """Return the calls under a call paired with their places, if their numbers agree."""
    calls, places = call["calls"], location["calls"] if location is not None else []
    return list(zip(calls, places if len(places) == len(calls) else [None] * len(calls), strict=True))


class _Lines:
    """Lines of program counters, with one lookup per contract."""

    def __init__(self, artifacts: ArtifactFolders, codes: Sequence[bytes]) -> None:
        self._artifacts, self._codes = artifacts, codes
        self._maps: dict[tuple[int, bool], tuple[CompiledContract | None, CodeMap | None]] = {}

    def contract_of(self, location: Mapping[str, Any] | None) -> CompiledContract | None:
        """Return the compiled contract whose code a call executed."""
        return self._code_map(location)[0]

    def line(self, frame: Mapping[str, Any] | None, location: Mapping[str, Any] | None, which: str) -> str | None:
        """Return the source line of a call's counters in the code of a frame."""
        code_map = self._code_map(frame)[1]
        return None if code_map is None or location is None else code_map.line(location[which])

    def _code_map(self, location: Mapping[str, Any] | None) -> tuple[CompiledContract | None, CodeMap | None]:
        if location is None or location["code"] is None:
            return None, None
        number, creation = location["code"], location["creation"]
        if (number, creation) not in self._maps:
            compiled = compiled_code(self._artifacts, creation, self._codes[number])
            debug = None if compiled is None else compiled.debug()
            code_map = None if debug is None else debug.creation if creation else debug.runtime
            self._maps[number, creation] = compiled, code_map
        return self._maps[number, creation]


class FailurePlaces:
    """Finds the lines where transactions of a chain failed, with the compiled contracts of some folders."""

    def __init__(self, chain: Chain, artifacts: ArtifactFolders) -> None:
        self._chain, self._artifacts = chain, artifacts
        self._instructions = InstructionPlaces()

    def of(self, receipt: TransactionReceipt, path: Sequence[int], limit: TimeLimit) -> str | None:
        """Return the `file.sol:line` of the innermost contract on the path to a failure's cause; None if unknown.

        `path` has the index of each call among its siblings (`localnet.traces.trace_report`), without calls of
        `console.log`. Raises the error of the limit.
        """
        if not self._artifacts.contracts():
            return None  # no source is known
        listener = Counters(limit)
        replay = Replay(self._chain, receipt.tipset, receipt.index, limit)
        replay.block.machine = self._instructions.machine_for(replay.machine)
        replay.rehearse(listener, lambda: None)
        return self._find(listener, receipt.exit_code, path)

    def of_call(
        self, machine: Hypervisor, request: CallRequest, exit_code: int, path: Sequence[int], limit: TimeLimit
    ) -> str | None:
        """Return the location of a failed call on a machine, whose effects were reverted."""
        if not self._artifacts.contracts():
            return None
        listener, machine = Counters(limit), self._instructions.machine_for(machine)
        traced_call(machine, request, listener, lambda _: None)
        return self._find(listener, exit_code, path)

    def _find(self, listener: Counters, exit_code: int, path: Sequence[int]) -> str | None:
        ends = [call.end.exit_code for call in listener.roots if call.end is not None]
        if ends[-1:] != [exit_code]:
            return None  # our own runtime's gas differs from the official actor's
        for call in reversed(_on_path(listener.roots, path)):
            counters = _last(call)
            found = line_of_code(self._artifacts, *code_of_call(call), counters) if counters else None
            if found is not None:
                return found
        return None


def _on_path(roots: Sequence[CallNode], path: Sequence[int]) -> list[CallNode]:
    calls, found = roots, list[CallNode]()
    for index in path:
        own = [call for call in calls if not is_log(str(call.start.to))]
        if index >= len(own):
            break
        found.append(own[index])
        calls = own[index].calls
    return found
