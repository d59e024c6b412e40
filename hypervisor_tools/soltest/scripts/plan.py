"""Execution of scripts under Ethereum's rules, on a fork of a node's network including its actors, like tests.

Calls between `startBroadcast` and `stopBroadcast`, or after `broadcast`, become transactions; the script itself does
not. Rules: forge's (the Foundry book on scripting).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, checksummed, to_filecoin
from bridge.ethereum.block import ETHEREUM, EthereumBlock
from hypervisor.errors import HypervisorError
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.rules import register_labs
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.state import CREATE2_DEPLOYER, BroadcastCall, Broadcasts
from hypervisor_tools.soltest.cheatcodes.table import selector, uses_fork_cheatcodes
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.compile.artifact import Artifacts, ContractArtifact
from hypervisor_tools.soltest.execution.discovery import signature
from hypervisor_tools.soltest.execution.executor import RawCallResult, TestExecutor, fork_of
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, TestResult
from hypervisor_tools.soltest.execution.stage import SetUpFailed, SuiteStage
from hypervisor_tools.soltest.execution.values import types
from hypervisor_tools.soltest.report.viewer import TestViewer
from hypervisor_tools.soltest.run.serving import executor_settings_of, settings_of
from hypervisor_tools.soltest.scripts.linking import SALT, Libraries, Linking, linking_of
from hypervisor_tools.soltest.trace.known_code import KnownCode, KnownContract
from hypervisor_tools.soltest.value_text import value_text
from localnet import Network
from localnet.state.controls import code_of
from store.blocks.memory import OverlayStore

_DEPLOYER: Final = EthAddress(b"deployer of a script")
"""Address that deploys the script itself, so that no signer's nonce is used."""
_NO_TRACE: Final = "no trace: it requires a second run, which would repeat the effects of the first"


class ScriptFailed(HypervisorError):
    """Raised if a script reverts; the message has the reason, trace and backtrace in lines."""

    has_lines = True


@dataclass(frozen=True, slots=True)
class PlannedTransaction:
    """A transaction of a script with decoded details: `kind` is CREATE, CREATE2 or CALL."""

    call: BroadcastCall
    kind: str
    contract: str | None
    address: EthAddress | None
    function: str | None
    arguments: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ScriptPlan:
    """Result of a script's run: transactions in order, keys that it named, return values and output."""

    transactions: tuple[PlannedTransaction, ...]
    keys: Mapping[EthAddress, bytes]
    returned: Mapping[str, tuple[str, str, str]]
    """Type, raw text for records, and text for people by name, or by index for unnamed values."""
    lines: tuple[str, ...]
    gas_used: int
    trace: str = ""
    unsendable: tuple[str, ...] = ()
    """Cheatcodes that made a transaction with a delegation or a blob, or a signed one."""
    libraries: tuple[str, ...] = ()
    """FILE:NAME:ADDRESS of the linked libraries."""


def run_script(
    job: Job, artifacts: Artifacts, artifact: ContractArtifact, calldata: bytes, sender: EthAddress,
    network: Network | None = None, libraries: Libraries | None = None,
) -> ScriptPlan:  # fmt: skip
    """Run a script's `setUp` and a function: on a fork of `network` or of the job's node, or without a network.

    Raises ScriptFailed, InvalidInput, NodeError.
    """
    linking = linking_of(artifacts, artifact, libraries or {})
    settings = replace(settings_of(job, artifacts), has_network=network is not None)
    cheats = Cheatcodes(replace(settings, file=artifact.file, contract=artifact.name))
    setting = executor_settings_of(job)._replace(rules=ETHEREUM, sender=_DEPLOYER)
    executor = TestExecutor(setting, cheats, None if network is None else _machine(job, network))
    if network is None and job.fork_url is None:
        executor.set_balance(sender, setting.balance)
    try:
        found: list[ScriptPlan] = []
        run = _ScriptRun(job, artifacts, artifact, calldata, sender, executor, linking)
        executor.machine.stacks.on_one_thread(lambda: found.append(run.run()))
        return found[0]
    finally:
        executor.close()


def selects_forks(artifact: ContractArtifact) -> bool:
    """Return True if a script's code contains a cheatcode that creates a fork."""
    return uses_fork_cheatcodes(artifact.creation.object)


def _machine(job: Job, network: Network) -> Hypervisor:
    """Return a machine with the network's state, under Ethereum's rules, at its next block."""
    there = network.machine
    context = replace(
        there.context,
        epoch=ChainEpoch(there.context.epoch + 1),
        base_fee=TokenAmount(0),
        rules=ETHEREUM,
        block=EthereumBlock(
            fork_of(job.project), ZERO_ADDRESS, job.project.gas_limit, code_limit=job.project.code_size_limit
        ),
    )
    root = there.state_tree.flush()
    machine = Hypervisor.at(OverlayStore(there.base), root, context, evm=job.options.evm, externs=there.externs)
    register_labs(machine, there.context.rules)
    return machine


@dataclass(slots=True)
class _ScriptRun:
    job: Job
    artifacts: Artifacts
    artifact: ContractArtifact
    calldata: bytes
    sender: EthAddress
    executor: TestExecutor
    linking: Linking

    def run(self) -> ScriptPlan:
        executor = self.executor
        base = executor.snapshot()
        stage = SuiteStage(executor, self.artifacts, self.artifact)
        executor.cheatcodes.settings = replace(
            executor.cheatcodes.settings, errors=stage.errors, first_actor=stage.first_actor, seed=self.job.seed
        )
        outcome = self._run(stage)
        shows = self.job.options.verbosity >= 4 or not outcome.success
        broadcasts = executor.cheatcodes.state.broadcasts
        calls, keys = ((), {}) if broadcasts is None else (tuple(broadcasts.calls), dict(broadcasts.keys))
        unsendable = () if broadcasts is None else tuple(dict.fromkeys(broadcasts.unsendable))
        lines = executor.cheatcodes.console.shown
        planned = _Reader(self.artifacts).plan(calls) if outcome.success else ()
        outside = executor.cheatcodes.outside
        viewed = self._view(base, outcome) if shows and not outside else None
        unseen = f"{_NO_TRACE} ({', '.join(f'vm.{name}' for name in sorted(outside))})" if shows and outside else ""
        if not outcome.success:
            text = f"the script failed: {stage.reason(outcome)}"
            seen = [viewed.trace.rstrip()] if viewed is not None and viewed.trace else []
            stack = [] if viewed is None else [f"  at {line}" for line in viewed.stack]
            raise ScriptFailed("\n".join([text, *lines, *seen, *stack, *([unseen] if unseen else [])]))
        entry = self._entry()
        returned = {} if entry is None else return_values(entry, outcome.output)
        trace = unseen if viewed is None else viewed.trace
        return ScriptPlan(
            planned, keys, returned, lines, outcome.gas_used, trace, unsendable, tuple(self.linking.lines)
        )

    def _run(self, stage: SuiteStage) -> RawCallResult:
        """Deploy the script and call it; return the outcome of the last step."""
        stage.executor.cheatcodes.state.broadcasts = Broadcasts(self.sender)
        refused = self._deploy_libraries(stage)
        if refused is not None:
            return refused
        try:
            stage.build()
        except SetUpFailed as failed:
            return failed.outcome
        if any(entry.get("name") == "setUp" and not entry["inputs"] for entry in self.artifact.abi):
            outcome = stage.executor.call(self.sender, stage.address, selector("setUp()"))
            if not outcome.success:
                return outcome
        return stage.executor.call(self.sender, stage.address, self.calldata)

    def _deploy_libraries(self, stage: SuiteStage) -> RawCallResult | None:
        """Deploy missing libraries as the script's first transactions; return the outcome of a failed one."""
        executor, broadcasts = stage.executor, stage.executor.cheatcodes.state.broadcasts
        assert broadcasts is not None, "a script broadcasts"
        stage.libraries.update(self.linking.addresses)
        for address, code in self.linking.codes:
            if code_of(executor.machine, to_filecoin(address)):
                continue
            nonce, data, funds = executor.nonce(self.sender), SALT + code, executor.balance(self.sender)
            outcome = executor.call(self.sender, CREATE2_DEPLOYER, data)
            if not outcome.success:
                return outcome
            executor.set_nonce(self.sender, nonce + 1)
            url = executor.cheatcodes.fork_url
            call = BroadcastCall(self.sender, nonce, CREATE2_DEPLOYER, 0, data, address, True, funds, url)
            broadcasts.calls.append(call)
        return None

    def _view(self, base: Any, outcome: RawCallResult) -> TestResult:
        """Repeat the run with a tracer."""
        executor = self.executor
        executor.restore(base)
        # forge prints the trace of a failed script at any verbosity
        verbosity = self.job.options.verbosity if outcome.success else max(self.job.options.verbosity, 3)
        viewer = TestViewer(self.artifacts, ETHEREUM, verbosity)
        status = CaseStatus.SUCCESS if outcome.success else CaseStatus.FAILURE
        result = TestResult(self.artifact.name, CaseKind.UNIT, status, gas=outcome.gas_used)
        tracer = viewer.tracer(result)
        stage = SuiteStage(executor, self.artifacts, self.artifact)
        with executor.machine.traced(tracer):
            self._run(stage)
        return viewer.show(stage, None, tracer, result)

    def _entry(self) -> Mapping[str, Any] | None:
        """Return the called function, or None for the fallback."""
        functions = (entry for entry in self.artifact.abi if entry.get("type") == "function")
        return next((entry for entry in functions if selector(signature(entry)) == self.calldata[:4]), None)


class _Reader:
    """Decodes transactions by the project's contracts."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._known = KnownCode(artifacts)

    def plan(self, calls: Sequence[BroadcastCall]) -> tuple[PlannedTransaction, ...]:
        return tuple(self._read(call) for call in calls)

    def _read(self, call: BroadcastCall) -> PlannedTransaction:
        if call.to is None or call.second:
            code = call.data[32:] if call.second else call.data
            found = self._known.find(code, True)
            arguments = None if found is None else _constructor_texts(found, code)
            kind = "CREATE2" if call.second else "CREATE"
            return PlannedTransaction(call, kind, None if found is None else found.name, call.created, None, arguments)
        found = self._known.find(call.code, False)
        entry = None if found is None else _function(found, call.data)
        arguments = None if entry is None else _texts(entry["inputs"], call.data[4:])
        function = None if entry is None else signature(entry)
        return PlannedTransaction(call, "CALL", None if found is None else found.name, call.to, function, arguments)


def _function(found: KnownContract, data: bytes) -> Mapping[str, Any] | None:
    entries = (entry for entry in found.artifact.abi if entry.get("type") == "function")
    return next((entry for entry in entries if selector(signature(entry)) == data[:4]), None) if data else None


def _constructor_texts(found: KnownContract, code: bytes) -> tuple[str, ...] | None:
    inputs: Sequence[Mapping[str, Any]] = next(
        (entry["inputs"] for entry in found.artifact.abi if entry.get("type") == "constructor"), []
    )
    return _texts(inputs, code[len(found.creation.code) :]) if inputs else None


def _texts(entries: Sequence[Mapping[str, Any]], data: bytes, *, raw: bool = True) -> tuple[str, ...] | None:
    if not entries:
        return None
    try:
        values = decode(types(entries), data)
    except CheatcodeFailure:
        return None
    return tuple(value_text(entry, value, raw=raw) for entry, value in zip(entries, values, strict=True))


def return_values(entry: Mapping[str, Any], output: bytes) -> dict[str, tuple[str, str, str]]:
    """Return a function's return values as in `ScriptPlan.returned`; empty if the output has another form."""
    outputs = entry.get("outputs") or []
    texts = zip(_texts(outputs, output) or (), _texts(outputs, output, raw=False) or (), strict=True)
    return {
        item.get("name") or str(number): (str(item.get("internalType") or item["type"]), *both)
        for number, (item, both) in enumerate(zip(outputs, texts, strict=False))
    }


def address_text(address: EthAddress | None) -> str | None:
    """Return an address with its checksum, or None."""
    return None if address is None else checksummed(address)
