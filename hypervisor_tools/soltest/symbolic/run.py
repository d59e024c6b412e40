"""A symbolic test: its start from the state after `setUp`, exploration of all paths, the verdict, and counterexamples.

A counterexample is replayed with the values of the path's model, also for svm's cheatcodes and for symbolic storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import z3

from bridge.ethereum.addresses import EthAddress, checksummed, from_delegated, unmask_id
from bridge.filecoin.evm_state import evm_state_at
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.tracing import Dispatched, TraceEvent, Tracer
from hypervisor.types import EAM_NAMESPACE, ActorID
from hypervisor_tools.soltest.cheatcodes.failures import (
    CHEATCODE_ERROR,
    ERROR,
    MAGIC_ASSUME,
    MAGIC_SKIP,
    PANIC,
    CheatcodeFailure,
    is_assertion,
)
from hypervisor_tools.soltest.cheatcodes.state import FAILED_SLOT, VM_ADDRESS, BlockValues
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode
from hypervisor_tools.soltest.execution.discovery import TestFunction
from hypervisor_tools.soltest.execution.executor import ExecutorSnapshot, set_created_values
from hypervisor_tools.soltest.execution.results import (
    SVM,
    CaseKind,
    CaseStatus,
    CounterExample,
    CreatedValues,
    TestResult,
)
from hypervisor_tools.soltest.execution.stage import SuiteStage, is_failed_assertion
from hypervisor_tools.soltest.execution.values import types
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.sources import read_sources
from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
from hypervisor_tools.soltest.symbolic.calls import CALL_HANDLERS, Result, finish
from hypervisor_tools.soltest.symbolic.cheats import SVM_ADDRESS
from hypervisor_tools.soltest.symbolic.inputs import arguments, shapes
from hypervisor_tools.soltest.symbolic.opcodes import HANDLERS, push, run_simple
from hypervisor_tools.soltest.symbolic.path import (
    CHEATCODE_ADDRESSES,
    Account,
    ActorCall,
    Block,
    Code,
    Dead,
    Fork,
    Frame,
    Halt,
    Path,
    Storage,
    copied,
)
from hypervisor_tools.soltest.symbolic.solver import OutOfBudget, Solver
from hypervisor_tools.soltest.symbolic.words import Data, NotModelled, Word, concrete, term, values
from hypervisor_tools.soltest.trace.known_code import KnownCode
from hypervisor_tools.soltest.value_text import arguments_text
from localnet.state.controls import set_code
from runtimes.evm.forks import fork_named
from runtimes.evm.revm import block_of
from store.cid import Cid
from store.trees.kamt import EMPTY_KAMT, Kamt

_JUMPI: Final = 0x57
INVALID: Final = "INVALID"
"""Reason of a halt by the opcode INVALID, by which old compilers assert."""
_ALL: Final = {**HANDLERS, **CALL_HANDLERS}
_TIME_STEPS: Final = 256
"""Number of instructions between two checks of the time."""


@dataclass(slots=True)
class Explorer:
    """Runs paths until all have ended. `undecided` counts the reasons why paths could not be decided."""

    settings: SymbolicSettings
    undecided: Counter[str] = field(default_factory=Counter)
    paths: int = 0
    is_over: bool = False
    """True if a limit of the test is reached."""
    given_up: Callable[[Path], None] = lambda _: None
    """Called with each path that is not decided."""

    def run(self, start: Path) -> Iterator[Path]:
        """Yield the paths whose outermost frame has ended. Other paths are counted in `undecided`, or dead."""
        todo = [start]
        while todo:
            path = todo.pop()
            try:
                ended = self._run_path(path, todo)
            except NotModelled as reason:
                self.undecided[str(reason)] += 1
                self.paths += 1
                self.given_up(path)
                continue
            except z3.Z3Exception as error:  # such as too little memory
                self.undecided[f"the solver failed: {error}"] += 1
                continue
            except Dead:
                continue
            except OutOfBudget:
                self.undecided[f"the time limit of {self.settings.seconds:g} seconds (--symbolic-timeout)"] += 1
                self.is_over = True
                return
            if ended:
                self.paths += 1
                yield path
            if self.paths + len(todo) > self.settings.paths:
                self.undecided[f"more than {self.settings.paths} paths (--symbolic-paths)"] += 1
                self.is_over = True
                return

    def _run_path(self, path: Path, todo: list[Path]) -> bool:
        """Run a path to its end; return False if it was replaced by others, which are added to `todo`."""
        while path.frames:
            path.steps += 1
            if path.steps > self.settings.steps:
                raise NotModelled(f"a path of more than {self.settings.steps} instructions")
            if path.steps % _TIME_STEPS == 0:
                path.solver.check_time()
            try:
                step(path)
            except Fork as fork:
                todo += self._fork(path, fork)
                return False
            except Halt as halt:
                path.halted = str(halt) if len(path.frames) == 1 else ""
                finish(path, False, ())
        return True

    def _fork(self, path: Path, fork: Fork) -> list[Path]:
        frame = path.frame
        if frame.code.data[frame.pc] == _JUMPI:
            decided = frame.branches.get(frame.pc, 0) + 1
            if decided > self.settings.loop:
                raise NotModelled(f"a loop of more than {self.settings.loop} iterations (--symbolic-loop)")
            frame.branches[frame.pc] = decided
        return [path.with_decision(fork, side) for side in (False, True)]


def step(path: Path) -> None:
    """Execute one instruction. Raises Fork without any effect, Halt, Dead, NotModelled."""
    frame = path.frame
    at = frame.pc
    opcode: Any = frame.code.data[at] if at < len(frame.code.data) else 0
    if not isinstance(opcode, int):
        raise NotModelled("code with a symbolic opcode")
    name = path.start.opcodes.get(opcode)
    if name is None:
        raise Halt(INVALID if opcode == 0xFE else f"the invalid opcode {opcode:#04x}")
    if run_simple(path, opcode):
        return
    row = _ALL.get(opcode)
    if row is None:
        raise NotModelled(f"the opcode {name}")
    size, handler = row
    stack = frame.stack
    if len(stack) < size:
        raise Halt("stack underflow")
    operands = stack[-size:] if size else []
    if size:
        del stack[-size:]
    frame.pc = at + 1
    try:
        word = handler(path, *reversed(operands))
    except Fork:
        stack.extend(operands)
        frame.pc = at
        raise
    path.decisions.clear()
    if word is not None:
        push(path, word)


_RESULTS: Final = {
    "createUint(uint256,string)": "uint256",
    "createInt(uint256,string)": "int256",
    "createUint256(string)": "uint256",
    "createInt256(string)": "int256",
    "createAddress(string)": "address",
    "createBool(string)": "bool",
    "createBytes32(string)": "bytes32",
    "createBytes4(string)": "bytes4",
    "createBytes(uint256,string)": "bytes",
    "createString(uint256,string)": "string",
    "createCalldata(address)": "bytes",
    "createCalldata(address,bool)": "bytes",
    "createCalldata(string)": "bytes",
    "createCalldata(string,bool)": "bytes",
    "createCalldata(string,string)": "bytes",
    "createCalldata(string,string,bool)": "bytes",
}
"""Type of the value that a cheatcode returns, by its signature."""
_BY_SELECTOR: Final = {selector(signature): signature for signature in _RESULTS}


def created_values(path: Path) -> CreatedValues:
    """Return the values of a path's model."""
    answers = tuple((calldata, values(output, path.model)) for calldata, output in path.created)
    storage = tuple(_words(path))
    return CreatedValues(answers, storage, _text(answers, storage))


def _words(path: Path) -> Iterator[tuple[EthAddress, int, int]]:
    """Yield address, slot and word of each slot of symbolic storage that the path read."""

    def number(word: object) -> int:
        found: int = path.model.eval(word, model_completion=True).as_long()
        return found

    for address, array, keys in path.arrays:
        owner = EthAddress(address.to_bytes(20, "big"))
        slots = {number(term(key)): number(z3.Select(array, term(key))) for key in keys}
        yield from ((owner, slot, word) for slot, word in slots.items())


def _text(answers: Iterable[tuple[bytes, bytes]], storage: Iterable[tuple[EthAddress, int, int]]) -> str:
    created = ", ".join(text for calldata, answer in answers if (text := _answer_text(calldata, answer)))
    words = ", ".join(f"{checksummed(address)}[{slot:#x}]={word:#x}" for address, slot, word in storage)
    return " ".join(f"{name}=[{text}]" for name, text in (("svm", created), ("storage", words)) if text)


def _answer_text(calldata: bytes, answer: bytes) -> str:
    """Return `name(arguments)=value`, with bytes that cannot be decoded as hex; empty without a return value."""
    signature = _BY_SELECTOR.get(calldata[:4])
    if signature is None:  # enableSymbolicStorage
        return ""
    name, _, kinds = signature.rstrip(")").partition("(")
    return f"{name}({_values(kinds.split(','), calldata[4:])})={_values([_RESULTS[signature]], answer)}"


def _values(kinds: list[str], data: bytes) -> str:
    try:
        return arguments_text([{"type": kind} for kind in kinds], decode(kinds, data))
    except CheatcodeFailure:
        return f"0x{data.hex()}"


_MAX_REPLAYS = 8
"""Maximum number of counterexamples of a path that are run."""
_MAX_INPUTS = 1024
"""Maximum number of inputs of a test."""
_MAX_SLOTS = 100_000
"""Maximum number of slots of a contract at the start."""
_CALLS: Final = {"CALL": 0xF1, "DELEGATECALL": 0xF4, "STATICCALL": 0xFA}


def _relay(to: bytes, kind: str = "CALL", value: int = 0) -> bytes:
    """Return runtime code that forwards its calldata to an address and returns the result."""
    sent = f"7f{value:064x}" if kind == "CALL" else ""
    call = bytes.fromhex(f"36 6000 6000 37 6000 6000 36 6000 {sent} 73{to.hex()} 5a {_CALLS[kind]:02x}")
    end = len(call) + 13
    return call + bytes.fromhex(f"3d 6000 6000 3e 60{end:02x} 57 3d 6000 fd 5b 3d 6000 f3")


_IGNORED = frozenset((
    "labels", "watches_gas", "watches_logs", "persistent", "environment", "keys",
    "randomness", "measured", "last_measured", "last_call", "last_frame", "stored_bytes", "reading", "json", "block",
    "deals", "reads", "writes", "allowed",
))  # fmt: skip
"""Fields of the cheatcodes' state after `setUp` that do not change how a test runs."""


@dataclass(slots=True)
class ContractCalls(Tracer):
    """A tracer that counts calls of contracts."""

    takes_record = True
    contract: Cid
    calls: int = 0

    def event(self, event: TraceEvent, /) -> None:
        """Count a call of a contract."""
        self.calls += isinstance(event, Dispatched) and event.code == self.contract


@dataclass(slots=True)
class StartState:
    """The state after `setUp`, on the concrete machine."""

    stage: SuiteStage
    ready: ExecutorSnapshot
    project: Project
    _opcodes: Mapping[int, str] = field(default_factory=dict)
    _known: KnownCode | None = None
    _addresses: frozenset[int] | None = None
    _accounts: dict[int, Account] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fork = fork_named(self.stage.executor.setting.fork)
        self._opcodes = {number: opcode.name for number, opcode in fork.opcodes.items() if number != 0xFE}

    @property
    def settings(self) -> SymbolicSettings:
        """Bounds of the test."""
        return self.project.symbolic

    @property
    def assertions_revert(self) -> bool:
        """True if a failed assertion of the test reverts."""
        return self.project.assertions_revert

    @property
    def opcodes(self) -> Mapping[int, str]:
        """Names of the fork's opcodes by number."""
        return self._opcodes

    def check(self) -> None:
        """Raise NotModelled for a state that is not modelled."""
        executor, state = self.stage.executor, self.stage.executor.cheatcodes.state
        if self.stage.constructor_calls_svm:
            raise NotModelled("a constructor that calls svm: call it in setUp()")
        changed = [name for name in state.image() if name not in _IGNORED]
        if changed:
            raise NotModelled(f"setUp() leaves a cheatcode's state: {', '.join(changed)}")
        if executor.cheatcodes.origin is not None or executor.cheatcodes.is_forked:
            raise NotModelled("a test on a fork of a network")
        if executor.cheatcodes.isolates:
            raise NotModelled("isolated tests (--isolate)")
        if executor.setting.precompiles:
            raise NotModelled("a project with registered precompiles")

    def block(self) -> Block:
        """Return the values of the block."""
        machine, state = self.stage.executor.machine, self.stage.executor.cheatcodes.state
        context, block, known = machine.context, block_of(machine), state.block
        if known != replace(BlockValues(), prevrandao=known.prevrandao):
            raise NotModelled("block values set in setUp()")
        randomness = known.prevrandao or block.randomness or bytes(32)
        return Block(
            context.epoch, context.timestamp, int.from_bytes(block.coinbase, "big"), block.gas_limit,
            context.chain_id, context.base_fee, int.from_bytes(randomness, "big"),
        )  # fmt: skip

    @property
    def addresses(self) -> frozenset[int]:
        """Addresses of all accounts except `CHEATCODE_ADDRESSES`."""
        if self._addresses is None:
            tree = self.stage.executor.machine.state_tree
            actors = (tree.get_actor(ActorID(number)) for number in range(tree.init_state().next_id))
            named = (from_delegated(state.delegated_address) for state in actors if state is not None)
            found = {int.from_bytes(address, "big") for address in named if address is not None}
            self._addresses = frozenset(found.difference(CHEATCODE_ADDRESSES))
        return self._addresses

    def load(self, address: int) -> Account:
        """Return an account. Raises NotModelled for one with too much storage."""
        if address not in self._accounts:
            self._accounts[address] = self._read(address)
        return self._accounts[address].copy()

    def _read(self, address: int) -> Account:
        machine = self.stage.executor.machine
        tree, name = machine.state_tree, EthAddress(address.to_bytes(20, "big"))
        actor = unmask_id(name)
        actor = tree.lookup_id(Address.delegated(EAM_NAMESPACE, name)) if actor is None else actor
        state = None if actor is None else tree.get_actor(actor)
        if state is None:
            code = b"\0" if address == SVM_ADDRESS else b""  # Solidity expects code before a call
            return Account(Code(code), Storage())
        codes = (machine.manifest.code("evm"), machine.manifest.code("ethaccount"))
        contract = evm_state_at(machine.store, state.head) if state.code in codes else None
        if contract is None or contract.tombstone is not None:
            return Account(Code(()), Storage(), state.balance, state.nonce)
        slots: dict[int, int] = {}
        if contract.storage != EMPTY_KAMT:
            for slot, word in Kamt(machine.store, contract.storage).items():
                slots[slot] = word
                if len(slots) > _MAX_SLOTS:
                    raise NotModelled(f"a contract with more than {_MAX_SLOTS} slots")
        return Account(Code(machine.store.get(contract.bytecode)), Storage(slots), state.balance, contract.nonce)

    def run_precompile(self, address: int, data: bytes) -> tuple[bool, bytes]:
        """Return success and output of a precompile."""
        stage = self.stage
        outcome = stage.executor.call(stage.sender, EthAddress(address.to_bytes(20, "big")), data, commit=False)
        stage.executor.restore(self.ready)
        return outcome.success, outcome.output

    def run_actor(self, calls: Sequence[ActorCall]) -> tuple[bool, bytes, Mapping[int, int]]:
        """Make calls; return success, output and changes of balances of the last one. Raises NotModelled."""
        executor = self.stage.executor
        machine, names = executor.machine, [EthAddress(number.to_bytes(20, "big")) for number in self.addresses]
        try:
            for call in calls:
                origin, sender, to = (
                    EthAddress(number.to_bytes(20, "big")) for number in (call.origin, call.sender, call.to)
                )
                executor.set_balance(sender, call.balance)
                set_code(machine, Address.delegated(EAM_NAMESPACE, sender), _relay(to, call.kind, call.value))
                set_code(machine, Address.delegated(EAM_NAMESPACE, SVM), _relay(sender, "STATICCALL"))
                executor.touch(origin)
                before, actors = [executor.balance(name) for name in names], executor.next_actor
                machine.tracer = tracer = ContractCalls(machine.manifest.code("evm"))
                outcome = executor.call(origin, SVM if call.static else sender, call.data)
                if tracer.calls > (2 if call.static else 1) or executor.next_actor != actors:
                    raise NotModelled("a call of an actor that calls a contract or creates an account")
            after = [executor.balance(name) for name in names]
        finally:
            machine.tracer = None
            executor.restore(self.ready)
        changes = zip(self.addresses, before, after, strict=True)
        return outcome.success, outcome.output, {one: new - old for one, old, new in changes if new != old}

    def run_cheatcode(self, data: bytes) -> tuple[bool, bytes]:
        """Return success and output of a cheatcode, called by a contract that passes its calldata on.

        A failed assertion reverts, whatever the project's `assertions_revert`.
        """
        set_code(self.stage.executor.machine, Address.delegated(EAM_NAMESPACE, SVM), _relay(VM_ADDRESS))
        cheats = self.stage.executor.cheatcodes
        before, cheats.settings = cheats.settings, replace(cheats.settings, assertions_revert=True)
        try:
            return self.run_precompile(SVM_ADDRESS, data)
        finally:
            cheats.settings = before

    def abi_at(self, code: Code) -> Sequence[Mapping[str, Any]]:
        """Return the ABI of the contract with this code. Raises NotModelled."""
        if self._known is None:
            self._known = KnownCode(self.stage.artifacts)
        numbers = concrete(code.data)
        found = self._known.find(numbers, creates=False) if numbers else None
        if found is None:
            raise NotModelled("createCalldata of an address without a contract of the project")
        return found.artifact.abi

    def abi_named(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Return the ABI of a contract, `Name` or `File.sol:Name`. Raises NotModelled."""
        artifacts, file = self.stage.artifacts, self.stage.artifact.file
        found = artifacts.find(name)
        if found is None:
            try:
                sources = read_sources(self.project, [file])
            except InvalidInput as error:
                raise NotModelled(f"createCalldata of '{name}': {error}") from None
            imported = {file, *sources.imports[file]}
            found = artifacts.find(name, imported) or artifacts.find(name, sources.texts)
        if found is None:
            raise NotModelled(
                f"createCalldata of '{name}', which is not the name of exactly one contract that {file} imports"
            )
        return found.abi


@dataclass(slots=True)
class SymbolicRun:
    """A running symbolic test. `ready` is the state after `setUp`.

    `check_*` and `prove_*` fail by a failed assertion only, and if no path succeeds; fuzz tests fail by any revert.
    """

    stage: SuiteStage
    test: TestFunction
    project: Project
    ready: ExecutorSnapshot
    progress: Callable[[TestResult], None] = lambda _: None
    inputs: list[bytes] = field(default_factory=list)
    """Calldata that lead to the ends of paths, which the concrete machine has not confirmed."""
    _successes: int = 0
    _reverted: list[Path] = field(default_factory=list)
    _paths: int = 0
    _undecided: Counter[str] = field(default_factory=Counter)
    _depth: int = 0
    """Number of calls of the sequences that were explored; 0 for a test that is not an invariant."""

    @property
    def settings(self) -> SymbolicSettings:
        """Bounds of the test."""
        return self.project.symbolic

    def run(self) -> TestResult:
        """Explore all paths within the bounds; stop at a counterexample that fails concretely."""
        try:
            self.stage.executor.restore(self.ready)
            start = StartState(self.stage, self.ready, self.project)
            start.check()
            solver = Solver(self.settings.query_seconds, self.settings.seconds)
            self._undecided = solver.undecided
            failed = self._explore(start, solver)
            if failed is not None:
                return failed
        except NotModelled as reason:
            self._count(str(reason))
        except OutOfBudget:
            self._count(f"the time limit of {self.settings.seconds:g} seconds (--symbolic-timeout)")
        return self._verdict()

    def _explore(self, start: StartState, solver: Solver) -> TestResult | None:
        """Explore all paths for all shapes of the inputs."""
        for shape in shapes(self.test.entry.get("inputs", ()), self.settings):
            failed = self._run_shape(start, solver, shape)
            if failed is not None:
                return failed
        return None

    def _count(self, reason: str, times: int = 1) -> None:
        self._undecided[reason] += times

    def _run_shape(self, start: StartState, solver: Solver, shape: tuple[int, ...]) -> TestResult | None:
        path, calldata = self._start(start, solver, shape)

        def keep(path: Path) -> None:
            if path.model is not None and len(self.inputs) < _MAX_INPUTS:
                self.inputs.append(values(calldata, path.model))

        explorer = Explorer(self.settings, given_up=keep)
        try:
            for ended in explorer.run(path):
                keep(ended)
                failed = self._end(ended, calldata)
                if failed is not None:
                    self._paths += explorer.paths
                    return replace(failed, runs=self._paths)
        finally:
            for reason, times in explorer.undecided.items():
                self._count(reason, times)
        self._paths += explorer.paths
        return None

    def _start(self, start: StartState, solver: Solver, shape: tuple[int, ...]) -> tuple[Path, Data]:
        """Return the first path, and the calldata of the test."""
        path = self._begun(start, solver)
        data: Data = [*selector(self.test.signature), *arguments(self.test.entry.get("inputs", ()), shape)]
        sender, address = (int.from_bytes(one, "big") for one in (self.stage.sender, self.stage.address))

        def set_up(path: Path, success: bool, output: Data) -> None:
            if success:
                end_transaction(path, "setUp()")
                enter(path, sender, address, data)
            elif self._is_assertion(path, output):
                path.ended = (success, output)
            else:
                raise Dead  # the values that setUp creates are assumed not to revert it

        if self.stage.defers_set_up:
            enter(path, sender, address, list(selector("setUp()")), set_up)
        else:
            enter(path, sender, address, data)
        return path, data

    def _begun(self, start: StartState, solver: Solver) -> Path:
        """Return a path at the start of the test, without a frame."""
        path = Path(solver, {}, start.block(), start)
        path.model = solver.model([])
        path.hashes.known.update(self.stage.hashed)
        return path

    def _end(self, path: Path, calldata: Data) -> TestResult | None:
        """Count an ended path; return the result if it is a failure that is confirmed."""
        assert path.ended is not None
        success, output = path.ended
        try:
            if not success and self._is_rejected(output):
                return None
            if self._has_failed(path) or (not success and self._is_failure(path, output)):
                return self._confirmed(path, calldata, lambda: self._replay(path, calldata))
        except NotModelled as reason:
            self._count(str(reason))
            return None
        if success and path.expected is not None:
            self._count("an expected revert without a call")
        elif success:
            self._successes += 1
        elif not self._reverted:
            self._reverted.append(path)
            path.frames, path.ended = [], (False, calldata)
        return None

    def _is_rejected(self, output: Data) -> bool:
        start = concrete(output[: len(MAGIC_ASSUME)])
        if start is not None and start.startswith(MAGIC_SKIP):
            raise NotModelled("vm.skip")
        return start == MAGIC_ASSUME

    def _has_failed(self, path: Path) -> bool:
        if path.has_failed:
            return True
        vm = path.account(int.from_bytes(VM_ADDRESS, "big"))
        word = vm.storage.read(FAILED_SLOT, path.hashes.same)
        if not isinstance(word, int):
            raise NotModelled("a symbolic failure flag")
        return word != 0

    def _is_failure(self, path: Path, output: Data) -> bool:
        is_fuzz = self.test.name.startswith("test")
        if is_fuzz and not self.project.fuzz.fail_on_revert:
            raise NotModelled("a revert with fuzz.fail_on_revert = false")
        return is_fuzz or self._is_assertion(path, output)

    def _is_assertion(self, path: Path, output: Data) -> bool:
        if path.halted == INVALID:
            return True
        numbers = concrete(output)
        if numbers is not None:
            return is_assertion(numbers) or numbers[:4] == CHEATCODE_ERROR
        if concrete(output[:4]) in (None, PANIC, ERROR, CHEATCODE_ERROR):
            raise NotModelled("symbolic revert data that may be those of a failed assertion")
        return False

    # --- verdicts ---------------------------------------------------------------------------------------------------

    def _confirmed(self, path: Path, calldata: Data, replay: Callable[[], TestResult | None]) -> TestResult | None:
        """Run the counterexample of a path's model on the concrete machine; return the failure if it fails there, too.

        If it does not, the solver gets the real hashes of the counterexample's data, and looks for another one.
        """
        for _ in range(_MAX_REPLAYS):
            failed = replay()
            if failed is not None:
                return failed
            try:
                if not path.learn_hashes():
                    break
            except Dead:
                return None
        self._count(
            f"a counterexample that does not fail when it is run: calldata=0x{values(calldata, path.model).hex()}"
        )
        return None

    def _replay(self, path: Path, calldata: Data, *, any_revert: bool = False) -> TestResult | None:
        data, stage = values(calldata, path.model), self.stage
        stage.executor.restore(self.ready)
        created = created_values(path)._replace(in_set_up=stage.defers_set_up)
        set_created_values(stage.executor, created)
        outcome = stage.call_test(data, commit=False)
        status, reason = stage.verdict(outcome)
        is_strict = self.test.name.startswith("test") or any_revert
        is_assertion_failure = outcome.success or is_failed_assertion(outcome) or stage.has_failed()
        is_assertion_failure = is_assertion_failure or outcome.output[:4] == CHEATCODE_ERROR
        confirmed = status is CaseStatus.FAILURE and (is_strict or is_assertion_failure)
        stage.executor.restore(self.ready)
        if not confirmed:
            return None
        if any_revert:
            reason = f"no input succeeds: {reason}"
        return self._failure(data, reason, outcome.gas_used, created)

    def _failure(self, data: bytes, reason: str | None, gas: int, created: CreatedValues) -> TestResult:
        inputs = self.test.entry.get("inputs", ())
        example: tuple[CounterExample, ...] = ()
        text = raw = ""
        if inputs:
            try:
                found: list[Any] = list(decode(types(inputs), data[4:]))
                text, raw = arguments_text(inputs, found), arguments_text(inputs, found, raw=True)
            except CheatcodeFailure:
                text = f"0x{data[4:].hex()}"
        if inputs or created.answers or created.storage:
            example = (CounterExample(data, text, raw_arguments=raw, created=created),)
        return TestResult(
            self.test.signature, CaseKind.SYMBOLIC, CaseStatus.FAILURE, reason, gas, counterexample=example
        )  # fmt: skip

    def _verdict(self) -> TestResult:
        if self._undecided:
            listed = sorted(self._undecided.items(), key=lambda one: -one[1])
            text = "; ".join(f"{reason}{f' ({times} paths)' if times > 1 else ''}" for reason, times in listed[:5])
            return self._result(CaseStatus.UNDECIDED, text)
        if not self._successes and self._reverted:
            path = self._reverted[0]
            assert path.ended is not None
            calldata = path.ended[1]
            try:
                failed = self._confirmed(path, calldata, lambda: self._replay(path, calldata, any_revert=True))
            except (NotModelled, OutOfBudget) as reason:
                return self._result(CaseStatus.UNDECIDED, f"all paths revert: {reason}")
            if failed is not None:
                return replace(failed, runs=self._paths)
            return self._result(CaseStatus.UNDECIDED, "all paths revert, but not the concrete run")
        if not self._successes:
            return self._result(CaseStatus.UNDECIDED, "the assumptions exclude every input")
        return self._result(CaseStatus.SUCCESS, None)

    def _result(self, status: CaseStatus, reason: str | None) -> TestResult:
        return TestResult(self.test.signature, CaseKind.SYMBOLIC, status, reason, runs=self._paths, depth=self._depth)


def _store_end(path: Path, success: bool, output: Data) -> None:
    path.ended = (success, output)


def enter(path: Path, sender: Word, address: int, data: Data, result: Result = _store_end) -> None:
    """Begin a call of the outermost frame."""
    path.ended, path.halted = None, ""
    path.frames.append(Frame(
        path.account(address).code, address, sender, 0, data, False, result, copied(path.accounts), sender,
        path.actor_calls,
    ))  # fmt: skip


def end_transaction(path: Path, call: str) -> None:
    """Clear transient storage after a call, because the next one is another transaction.

    Raises NotModelled for a prank or an expected revert that the call leaves.
    """
    if path.pranks or path.expected is not None:
        raise NotModelled(f"{call} leaves a prank or an expected revert")
    for account in path.accounts.values():
        account.transient = Storage()
