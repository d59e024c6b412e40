"""Tracing of gas by contract and function for the gas report; runs in a worker.

Counted are calls and creations by the test contract, static and delegate calls at any depth (for the contract whose
code runs), and every call of a native actor. A unit test counts with its calls and those of `setUp`; a fuzz or
invariant test with a number of its runs and a repetition of the last one. Rules: Foundry's `GasReport` (forge 1.7.1).
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.tracing import CallEnded, CallNode, Tracer
from hypervisor_tools.soltest.cheatcodes.failures import MAGIC_ASSUME
from hypervisor_tools.soltest.cheatcodes.table import selector, table
from hypervisor_tools.soltest.execution.discovery import TestFunction
from hypervisor_tools.soltest.execution.results import CaseKind
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.report.collecting import GasUse, Place, SuiteCoverage
from hypervisor_tools.soltest.trace import frames
from hypervisor_tools.soltest.trace.frames import FrameTracer
from hypervisor_tools.soltest.trace.identities import CallSignature, Identities
from hypervisor_tools.soltest.trace.trace_names import VM, Names

_QUERIES: Final = ("beforeTestSetup", "exclude", "fixture", "target")
"""Prefixes of functions by which forge queries a test contract about a test."""


class GasTracer(FrameTracer):
    """Collects gas by contract and function. Traced creations are added to `identities`."""

    def __init__(self, rules: str, names: Names, identities: Identities, *, keeps_frames: bool = False) -> None:
        super().__init__(rules)
        self.found: dict[Place, GasUse] = {}
        self.identities = identities
        self._names = names
        self._keeps_frames = keeps_frames
        self._earlier: tuple[GasUse, int | None, int] | None = None
        """The use to which the last creation belongs, with the gas of the creation before."""

    def _end(self, event: CallEnded) -> None:
        frame = self._open[-1]
        super()._end(event)
        if frames.creates_others(frame):
            return
        self.identities.add(frame)
        self._count(frame, sum(not frames.creates_others(above) for above in self._open))
        if not self._open:
            self._end_root(frame)
        if not self._keeps_frames:
            frame.items.clear()
            if not self._open:
                self.roots.clear()
                self.ended.clear()

    def _end_root(self, root: CallNode) -> None:
        """Finish a message."""

    def _count(self, frame: CallNode, depth: int) -> None:
        if frames.target_of(frame) == VM:
            entry = table().get(frames.input_of(frame)[:4])
            if entry is not None and entry.name == "deployCode" and frame.succeeded and self._earlier is not None:
                use, gas, state = self._earlier
                use.deployment_gas, use.deployment_state = gas, state  # as in forge, where it is an inner creation
            return
        if frames.is_actors(frame):
            use = self.found.setdefault(("", self._names.actor(frame)), GasUse())
            use.count(self._names.method(frame), frames.gas_used(frame), 0)
            return
        contract = self.identities.get(frames.target_of(frame))
        if frames.is_delegated(frame) and frames.borrowed_code(frame) is None:
            contract = self._names.known.of(frame)
        if contract is None:
            return
        is_inner = depth > 1 and frames.kind_of(frame) in ("CALL", "CREATE", "CREATE2")
        place = contract.artifact.file, contract.name
        if frames.creates(frame):
            use = self.found.setdefault(place, GasUse())
            use.deployment_size = len(frames.code_of(frame))
            if not is_inner:
                self._earlier = use, use.deployment_gas, use.deployment_state
                use.deployment_gas, use.deployment_state = frames.gas_used(frame), frames.state_gas(frame)
            return
        signature = None if is_inner else CallSignature(self._names.signatures, frame, contract).text
        if signature is not None:
            use = self.found.setdefault(place, GasUse())
            use.count(signature, frames.gas_used(frame), frames.state_gas(frame))


class SampleTracer(GasTracer):
    """Collects the gas of a fuzz or invariant test's runs before the first failure; later runs are repetitions."""

    def __init__(
        self, rules: str, names: Names, identities: Identities, test: TestFunction, address: EthAddress, limit: int
    ) -> None:
        super().__init__(rules, names, identities)
        self._test, self._address, self._samples = test, address, limit
        self._runs: list[dict[Place, GasUse]] = []
        self._begun_with = identities
        self._has_failed = False

    def _end_root(self, root: CallNode) -> None:
        run, self.found = self.found, {}
        is_fuzz = self._test.kind is CaseKind.FUZZ
        if is_fuzz:
            self.identities = self._begun_with.copy()
        is_own = frames.address_of(root) == self._address
        is_check = is_own and frames.input_of(root)[:4] == selector(self._test.signature)
        if is_check and not root.succeeded and not frames.output_of(root).startswith(MAGIC_ASSUME):
            self._has_failed = True
        is_run = is_check if is_fuzz else not (is_check or (is_own and _is_query(self._names, self.identities, root)))
        if not is_run or self._has_failed or frames.output_of(root).startswith(MAGIC_ASSUME):
            return
        if len(self._runs) == self._samples:
            if not is_fuzz:
                return
            self._runs.pop()  # forge includes the last run
        self._runs.append(run)

    def collect(self) -> dict[Place, GasUse]:
        """Return the gas of the counted runs."""
        whole = SuiteCoverage()
        for run in self._runs:
            whole.add(SuiteCoverage(gas=run))
        return whole.gas


class GasCollector:
    """Collects the gas of a suite: `set_up_tracer` once, `test_tracer` and `replay_tracer` per test, `collected`."""

    def __init__(self, names: Names, rules: str, project: Project) -> None:
        self._names, self._rules, self._project = names, rules, project
        self._set_up = self._new(names.identities)
        self._tests: list[tuple[str, list[GasTracer]]] = []

    def _new(self, identities: Identities, *, keeps_frames: bool = False) -> GasTracer:
        return GasTracer(self._rules, self._names, identities, keeps_frames=keeps_frames)

    def set_up_tracer(self) -> GasTracer:
        """Return the tracer of the constructor and `setUp`."""
        self._set_up = self._new(Identities(self._names.matcher), keeps_frames=True)
        self._tests = []
        return self._set_up

    def test_tracer(self, test: TestFunction, address: EthAddress) -> Tracer | None:
        """Return the tracer of a test's runs, for the contract at an address; None for a table test."""
        self._tests.append((test.signature, []))
        if test.kind is CaseKind.UNIT:
            return self._next(self._new(self._identities()))
        if test.kind is CaseKind.TABLE:
            return None
        fuzz, invariant = self._project.fuzz, self._project.invariant
        is_fuzz = test.kind is CaseKind.FUZZ
        limit = max(1, fuzz.gas_report_samples) if is_fuzz else invariant.gas_report_samples * invariant.depth
        return self._next(SampleTracer(self._rules, self._names, self._identities(), test, address, limit))

    def replay_tracer(self, test: TestFunction) -> Tracer | None:
        """Return the tracer for the repetition of a test's last run; None for a unit test."""
        return None if test.kind is CaseKind.UNIT else self._next(self._new(self._identities()))

    def cut_short(self, name: str) -> None:
        """Ignore a test that is run again untraced; these tracers never request that."""

    def collect(self) -> SuiteCoverage:
        """Return the gas of the suite: for each test that of `setUp` and its own."""
        whole, set_up = SuiteCoverage(), SuiteCoverage(gas=self._set_up.found)
        if not self._tests:
            whole.add(set_up)  # setUp failed
        for _, tracers in sorted(self._tests, key=lambda test: test[0]):
            whole.add(set_up)
            for tracer in tracers:
                gas = tracer.collect() if isinstance(tracer, SampleTracer) else tracer.found
                whole.add(SuiteCoverage(gas=gas))
        return whole

    def _identities(self) -> Identities:
        return self._set_up.identities.copy()

    def _next(self, tracer: GasTracer) -> GasTracer:
        self._tests[-1][1].append(tracer)
        return tracer


def _is_query(names: Names, identities: Identities, root: CallNode) -> bool:
    name = CallSignature(names.signatures, root, identities.get(frames.address_of(root))).name
    return name is not None and name.startswith(_QUERIES)
