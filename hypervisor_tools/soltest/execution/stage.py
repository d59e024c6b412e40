"""A test contract that is deployed and set up on an executor, and the outcomes of its calls.

Libraries and the test contract are deployed as in forge, then `setUp` runs. Custom errors are decoded from the
declarations of the project's contracts. For a symbolic test a tracer records the hashed data, and the calls of halmos'
cheatcodes, in the constructor and in `setUp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import ETHEREUM
from bridge.evm_steps import EvmStep, forward_step
from bridge.filecoin.evm_state import EvmState
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.tracing import Detail, RuntimeEvent, TraceEvent, Tracer
from hypervisor.types import EAM_NAMESPACE
from hypervisor_tools.soltest.cheatcodes.console import writes_logs
from hypervisor_tools.soltest.cheatcodes.failures import (
    MAGIC_SKIP,
    CheatcodeFailure,
    is_assertion,
    revert_text,
)
from hypervisor_tools.soltest.cheatcodes.state import DEFAULT_SENDER, FAILED_SLOT, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import (
    selector,
    uses_code_cheatcodes,
    uses_fork_cheatcodes,
    uses_last_call_gas,
    uses_mappings,
)
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.compile.artifact import Artifacts, Bytecode, ContractArtifact
from hypervisor_tools.soltest.execution.discovery import TestFunction, has_special, signature, special_functions
from hypervisor_tools.soltest.execution.executor import LIBRARY_DEPLOYER, RawCallResult, TestExecutor
from hypervisor_tools.soltest.execution.results import SVM, CaseStatus
from hypervisor_tools.soltest.execution.values import types
from hypervisor_tools.soltest.value_text import arguments_text
from runtimes.evm import CODE_TOO_LONG
from runtimes.evm.revm import session_of
from store.cid import EMPTY_ARRAY_CID
from store.keccak import keccak
from store.trees.kamt import EMPTY_KAMT, Kamt

MAX_HASHES: Final = 1024
"""Maximum number of hashes that are recorded."""
MAX_BYTES: Final = 128
"""Maximum size of recorded data; keys of mappings and addresses of creations are shorter."""
_KECCAK256: Final = 0x20
_ADDRESS_AT: Final = {0x3B: -1, 0xF1: -2, 0xF2: -2, 0xF4: -2, 0xFA: -2}
"""Position of the address on the stack, by opcode: calls, and EXTCODESIZE, which Solidity executes before some."""
_SVM: Final = int.from_bytes(SVM, "big")


class SetUpTracer(Tracer):
    """Records the input of each KECCAK256 by its hash, so that slots of mappings can be related to their keys.

    Events are forwarded to `inner`.
    """

    detail = Detail.STEPS

    def __init__(self, inner: Tracer | None) -> None:
        self._inner = inner or Tracer()
        self.hashed: dict[int, bytes] = {}
        self.calls_svm = False
        """True if a contract has called halmos' cheatcodes, or checked that their account has code."""
        self.takes_record = inner is None or inner.takes_record

    def event(self, event: TraceEvent, /) -> None:
        """Forward an event."""
        self._inner.event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, and forward it."""
        forward_step(self._inner, event)
        if not isinstance(event, EvmStep) or len(event.stack) < 2:
            return
        address_at = _ADDRESS_AT.get(event.opcode)
        if address_at is not None:
            self.calls_svm = self.calls_svm or event.stack[address_at] & ((1 << 160) - 1) == _SVM
        elif event.opcode == _KECCAK256:
            at, size = event.stack[-1], event.stack[-2]
            if size <= MAX_BYTES and at < 1 << 32 and len(self.hashed) < MAX_HASHES:
                data = bytes(event.memory[at : at + size]).ljust(size, b"\0")
                self.hashed[int.from_bytes(keccak(data), "big")] = data


class KnownErrors:
    """Finds errors by selector, first in the current suite, then in every contract of the project."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts
        self._near: dict[bytes, Mapping[str, Any]] = {}
        self._project_errors: dict[bytes, Mapping[str, Any]] | None = None

    def prefer(self, artifact: ContractArtifact) -> None:
        """Set the suite whose errors are tried first."""
        self._near = _errors(artifact)

    def __call__(self, data: bytes) -> str | None:
        """Return a custom error as `Name(arguments)`, or None if no contract declares it."""
        entry = self._near.get(data[:4]) or self._all().get(data[:4])
        if entry is None:
            return None
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            values = decode(types(entry["inputs"]), data[4:], strict=False)
        except (DecodingError, OverflowError, ValueError):
            return None
        return f"{entry['name']}({arguments_text(entry['inputs'], values)})"

    def _all(self) -> dict[bytes, Mapping[str, Any]]:
        if self._project_errors is None:
            self._project_errors = {}
            for location in self._artifacts.locations:
                try:
                    self._project_errors.update(_errors(self._artifacts.load(location)))
                except InvalidInput:
                    continue  # discovery reports corrupt artifacts
        return self._project_errors


def _errors(artifact: ContractArtifact) -> dict[bytes, Mapping[str, Any]]:
    found = (entry for entry in artifact.abi if entry.get("type") == "error")
    return {bytes(keccak(signature(entry).encode()))[:4]: entry for entry in found}


_CHEATCODES: Final = Address.delegated(EAM_NAMESPACE, VM_ADDRESS)


class SetUpFailed(Exception):
    """Raised if the test contract could not be set up, with the step's name and its outcome."""

    def __init__(self, step: str, outcome: RawCallResult) -> None:
        super().__init__(step)
        self.step = step
        self.outcome = outcome


class SuiteStage:
    """The test contract on its executor. Actors from the ID `first_actor` on belong to the suite."""

    def __init__(self, executor: TestExecutor, artifacts: Artifacts, artifact: ContractArtifact) -> None:
        self.executor = executor
        self.artifacts = artifacts
        self.artifact = artifact
        self.errors = KnownErrors(artifacts)
        self.errors.prefer(artifact)
        if uses_fork_cheatcodes(artifact.creation.object):
            executor.reserve_actor_ids()
        self.first_actor = executor.next_actor
        self.address = EthAddress(bytes(20))
        self.libraries: dict[tuple[str, str], bytes] = {}
        self.hashed: dict[int, bytes] = {}
        """Data hashed by the constructor and by `setUp`, by hash; recorded for symbolic tests only."""
        self.defers_set_up = False
        """True if `call_test` calls `setUp` first, because it needs values that a symbolic test creates."""
        self.constructor_calls_svm = False
        """True if the constructor of a symbolic suite has called halmos' cheatcodes, which do nothing there."""
        self._sound = EMPTY_ARRAY_CID
        """State of the cheatcodes' account in which no test has failed."""

    @property
    def sender(self) -> EthAddress:
        """Address that creates and calls the test contract."""
        return self.executor.setting.sender

    def build(self) -> None:
        """Deploy libraries and the contract. Raises SetUpFailed, and InvalidInput for a missing library."""
        executor = self.executor
        cheats, creation = executor.cheatcodes, self.artifact.creation.object
        cheats.state.watches_gas = uses_last_call_gas(self.artifact.runtime.object)
        cheats.state.reads_mappings = uses_mappings(self.artifact.runtime.object)
        cheats.state.watches_logs = cheats.settings.shows_logs and writes_logs(creation)
        self._deploy_libraries(self.artifact.creation)
        if uses_code_cheatcodes(self.artifact.runtime.object):
            self._deploy_all_libraries()
        self.address = executor.next_address(self.sender)
        is_ethereum = executor.setting.rules == ETHEREUM
        if is_ethereum:
            executor.set_balance(self.address, executor.setting.balance)
        made, outcome = executor.deploy(self.artifact.creation.link(self.libraries), self.sender)
        if made is None:
            raise SetUpFailed("constructor()", outcome)
        self.address = made
        if not is_ethereum:
            executor.set_balance(made, executor.setting.balance)

    def set_up(self) -> None:
        """Call `setUp` if the contract has it. Raises SetUpFailed."""
        if has_special(self.artifact, "setUp"):
            outcome = self._call_set_up()
            if not outcome.success or self.has_failed():
                raise SetUpFailed("setUp()", outcome)

    def _call_set_up(self) -> RawCallResult:
        """Call `setUp` from forge's default sender, whatever the project's `sender` is."""
        outcome = self.executor.call(DEFAULT_SENDER, self.address, selector("setUp()"))
        self.executor.create_touched()
        return outcome

    def prepare_symbolic(self) -> None:
        """Build, and call `setUp`, recording hashed data. Raises SetUpFailed.

        A `setUp` that creates symbolic values is deferred.
        """
        machine = self.executor.machine
        tracer = SetUpTracer(machine.tracer)
        with machine.traced(tracer):
            self.build()
            self.constructor_calls_svm, tracer.calls_svm = tracer.calls_svm, False
            built = self.executor.snapshot()
            try:
                self.set_up()
            except SetUpFailed:
                if not tracer.calls_svm:
                    raise
        self.hashed = tracer.hashed
        if tracer.calls_svm:
            self.executor.restore(built)
            self.defers_set_up = True

    def call_test(self, data: bytes, commit: bool = True) -> RawCallResult:
        """Call a test, after a deferred `setUp`; return the outcome of `setUp` if it fails."""
        if self.defers_set_up:
            outcome = self._call_set_up()
            if not outcome.success:
                return outcome
        return self.call(data, commit)

    def before_test(self, test: TestFunction) -> bool:
        """Make the calls that `beforeTestSetup` returns, if the contract has it; return True if all succeeded."""
        if not special_functions(self.artifact, "beforeTestSetup"):
            return True
        here = self.executor.snapshot()
        outcome = self.call(selector("beforeTestSetup(bytes4)") + selector(test.signature).ljust(32, b"\0"))
        self.executor.drop(here)
        try:
            calls = decode(["bytes[]"], outcome.output)[0] if outcome.success else []
        except CheatcodeFailure:
            calls = []
        return all(self.call(bytes(data)).success for data in calls)

    def call(self, data: bytes, commit: bool = True) -> RawCallResult:
        """Call the test contract; unless `commit`, the caller must revert the state (`TestExecutor.call`)."""
        return self.executor.call(self.sender, self.address, data, commit=commit)

    def _deploy_all_libraries(self) -> None:
        """Deploy the libraries of contracts, for tests that request their code.

        Those of other tests' files are left out: a filter excludes these, and under Filecoin's rules the gas of a test
        depends on the number of actors.
        """
        files = self.artifacts.test_files.get(self.artifact.file)
        for location in self.artifacts.locations:
            if files is not None and location.file.endswith(".t.sol") and location.file not in files:
                continue
            try:
                self._deploy_libraries(self.artifacts.load(location).creation)
            except InvalidInput:
                continue  # discovery reports corrupt artifacts, the cheatcode missing ones

    def _deploy_libraries(self, code: Bytecode) -> None:
        for key in code.libraries():
            if key in self.libraries:
                continue
            library = self.artifacts.get(*key)
            self.libraries[key] = bytes(20)  # placeholder for libraries that link each other, as in forge
            self._deploy_libraries(library.creation)
            made, outcome = self.executor.deploy(library.creation.link(self.libraries), LIBRARY_DEPLOYER)
            if made is None:
                raise SetUpFailed(f"library {key[1]}", outcome)
            self.libraries[key] = made

    # --- outcomes ---------------------------------------------------------------------------------------------------

    def has_failed(self) -> bool:
        """Return True if a test has set forge-std's failure slot, even if the state was reverted since."""
        if self.executor.cheatcodes.state.has_failed:
            return True
        if not self.executor.cheatcodes.state.may_have_failed:
            return False
        machine = self.executor.machine
        word = session_of(machine).held.word(VM_ADDRESS, FAILED_SLOT) if self.executor.is_ethereum else None
        if word is not None:
            return word != 0
        with machine.state_tree.without_held():
            actor = machine.state_tree.lookup_id(_CHEATCODES)
            state = None if actor is None else machine.state_tree.get_actor(actor)
        if state is None or state.code != machine.manifest.code("evm") or state.head in (EMPTY_ARRAY_CID, self._sound):
            return False
        storage = EvmState.decode(machine.store.get(state.head)).storage
        if storage != EMPTY_KAMT and Kamt(machine.store, storage).get(FAILED_SLOT) != 0:
            return True
        self._sound = state.head
        return False

    def verdict(self, outcome: RawCallResult, should_fail: bool = False) -> tuple[CaseStatus, str | None]:
        """Return the status of a test's call, and the reason of a failure."""
        if self.is_skip(outcome):
            return CaseStatus.SKIPPED, outcome.output[len(MAGIC_SKIP) :].decode("utf-8", "replace")
        ok = outcome.success and not self.has_failed()
        if should_fail:
            return (CaseStatus.FAILURE, "the test was expected to fail") if ok else (CaseStatus.SUCCESS, None)
        if ok:
            return CaseStatus.SUCCESS, None
        return CaseStatus.FAILURE, None if outcome.success else self.reason(outcome)

    def is_skip(self, outcome: RawCallResult) -> bool:
        """Return True if the cheatcode, not other code with its revert data, requested to skip the test."""
        data = self.executor.cheatcodes.skip_data
        return bool(data) and not outcome.success and outcome.output == data

    def reason(self, outcome: RawCallResult) -> str:
        """Return why a call failed; for a successful `setUp` that set the failure slot, forge's message."""
        if outcome.success:
            return "execution error"
        if outcome.output:
            return revert_text(outcome.output, self.errors)
        if CODE_TOO_LONG in outcome.reason:
            return f"{outcome.reason} (--code-size-limit sets another one)"
        return outcome.reason or _fault(outcome.error)


_FAULTS: Final = {
    "gas": "EvmError: OutOfGas",
    "INVALID_INSTRUCTION": "EvmError: InvalidFEOpcode",
    "UNDEFINED_INSTRUCTION": "EvmError: NotActivated",
    "ILLEGAL_MEMORY_ACCESS": "EvmError: InvalidOperandOOG",
    "STACK_UNDERFLOW": "EvmError: StackUnderflow",
    "STACK_OVERFLOW": "EvmError: StackOverflow",
    "BAD_JUMPDEST": "EvmError: InvalidJump",
    "READ_ONLY": "EvmError: StateChangeDuringStaticCall",
}


def _fault(text: str) -> str:
    """Return forge's name for a halt without return data, or the machine's message if forge has none."""
    for part, name in _FAULTS.items():
        if part in text:
            return name
    return "EvmError: Revert" if text in ("", "exit code 33", "contract reverted") else text


def is_failed_assertion(outcome: RawCallResult) -> bool:
    """Return True if a call failed by an assertion, which fails an invariant test with any settings."""
    return not outcome.success and (is_assertion(outcome.output) or "INVALID_INSTRUCTION" in outcome.error)
