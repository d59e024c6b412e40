"""`Cheatcodes`: what stands between the calls of a test and the machine, and answers at the cheatcodes' address.

Under Ethereum's rules it sees what frames ask for (`ask`), under Filecoin's the calls between actors (`send`); what is
done there is the same (`attempts`). The outermost call of a message is the test itself: at its end everything that was
expected must have come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from bridge.addresses import ZERO_ADDRESS, EthAddress
from bridge.cbor import byte_string
from bridge.ethereum_block import ETHEREUM
from bridge.events import Log, entries_to_log
from fvm_hypervisor.soltest.cheatcodes import emits, filecoin_calls
from fvm_hypervisor.soltest.cheatcodes.arbitrary import fill_slot
from fvm_hypervisor.soltest.cheatcodes.attempts import attempt, check_revert
from fvm_hypervisor.soltest.cheatcodes.console import LogConsole
from fvm_hypervisor.soltest.cheatcodes.context import Context, Settings
from fvm_hypervisor.soltest.cheatcodes.diffs import note_slot
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure, failure_data, said
from fvm_hypervisor.soltest.cheatcodes.fork_access import check_access, is_denied
from fvm_hypervisor.soltest.cheatcodes.fork_diagnosis import missing_on_fork
from fvm_hypervisor.soltest.cheatcodes.fork_states import undo_reverted
from fvm_hypervisor.soltest.cheatcodes.frames import around_ask, attempt_of, trace_answer
from fvm_hypervisor.soltest.cheatcodes.isolation import isolating_send, make_cold
from fvm_hypervisor.soltest.cheatcodes.ledger import EthereumLedger, FilecoinLedger
from fvm_hypervisor.soltest.cheatcodes.limits import MOST_KEPT, check_size
from fvm_hypervisor.soltest.cheatcodes.signatures import MISSING, name_of
from fvm_hypervisor.soltest.cheatcodes.state import (
    CONSOLE_ADDRESS,
    CREATE2_DEPLOYER,
    VM_ADDRESS,
    BlockValues,
    CallGas,
    MappingSlots,
    RecordedLog,
    State,
)
from fvm_hypervisor.soltest.cheatcodes.step_watch import StepWatch, watch
from fvm_hypervisor.soltest.cheatcodes.table import table
from fvm_hypervisor.soltest.cheatcodes.values import decode, encode
from fvm_hypervisor.soltest.forks.origin import ForkOrigin
from fvm_hypervisor.soltest.forks.remotes import Remotes
from fvm_hypervisor.soltest.forks.tipset_origin import TipsetOrigin
from hypervisor.address import Address
from hypervisor.blocks import Block as DataBlock
from hypervisor.call import Call, CallResult
from hypervisor.call_manager import CallManager
from hypervisor.context import MachineContext
from hypervisor.events import StampedEvent
from hypervisor.exit_codes import ExitCode
from hypervisor.externs import Externs
from hypervisor.machine import Hypervisor
from hypervisor.types import METHOD_CONSTRUCTOR, ActorID, ChainEpoch
from runtimes.evm.engine import Answer, Ask, CallAsk, CallKind
from runtimes.evm.ethereum import answers
from runtimes.evm.ethereum.alloc import AllocAccount, install
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.host import EthereumHost
from store.cid import CBOR, Cid, cid_of
from store.keccak import keccak

_RETURNING: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
_KEEPING: Final = ("serialize", "mock", "expect", "setEnv", "label", "etch")
"""How the names of cheatcodes begin that keep as much as they are given."""
_UNNAMED: Final = ("assert", "rpcUrl")
_ON_NETWORK: Final = (
    "the script runs on the Filecoin network of --rpc-url, ETH_RPC_URL or eth_rpc_url, with its actors, and no fork "
    "can take their place: name no node, and select a fork of that network, too"
)
CREATE2_DEPLOYER_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd"
    "5b8082525050506014600cf3"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What `Cheatcodes.snapshot` keeps."""

    state: Mapping[str, Any]
    context: MachineContext
    lines: tuple[str, ...]
    """What was written by then: forge shows what `setUp` writes with each test."""


class TestExterns:
    """The machine's externs with the randomness and the block hashes of a test's block."""

    __test__ = False  # for pytest, which takes the name for one of its own

    def __init__(self, outer: Externs, machine: Hypervisor, cheats: Cheatcodes) -> None:
        self._outer = outer
        self._machine = machine
        self._cheats = cheats

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """The block's prevrandao; where none is set, zeros, on a fork of a Filecoin network what its node says.

        Of other epochs as before.
        """
        own, fork = self._cheats.state.block.prevrandao, self._fork
        if epoch == self._machine.context.epoch and (fork is None or own is not None):
            return bytes(32) if own is None else own
        return (fork or self._outer).beacon_randomness(epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """A block's hash as the digest of a CID: the keccak-256 of its number in words, as forge has it."""
        known, origin = self._cheats.state.block.hashes.get(epoch), self._cheats.origin
        if known is None and origin is not None:
            known = origin.block_hash(epoch)
        digest = bytes(keccak(str(epoch).encode())) if known is None else known
        return Cid(cid_of(b"")[: -len(digest)] + digest)

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """As before, and on a fork of a Filecoin network what its node says."""
        return (self._fork or self._outer).chain_randomness(epoch)

    @property
    def _fork(self) -> Externs | None:
        origin = self._cheats.origin
        return origin.externs if isinstance(origin, TipsetOrigin) else None


_OUTSIDE: Final = frozenset((
    "ffi", "tryFfi", "rpc", "rpcJson", "writeFile", "writeFileBinary", "writeLine", "writeJson", "writeToml",
    "removeFile", "copyFile", "createDir", "removeDir",
))  # fmt: skip
"""Cheatcodes that run programs, ask nodes anything, or write files."""


class Cheatcodes:
    """The cheatcodes of one run of tests; an interceptor of a machine's calls (`install`).

    `machine` is the one that they are installed in. `state` is what a test has set; `snapshot` and `restore` copy it,
    with the block, beside the machine's own.
    """

    machine: Hypervisor

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.state = State()
        self.console = LogConsole()
        self.watched = frozenset({bytes(VM_ADDRESS), bytes(CONSOLE_ADDRESS)})
        self._apart = 0
        self._is_isolated = False
        self.test: Address | None = None
        """The contract whose test runs."""
        self.remotes = Remotes(self.settings.keeps_answers)
        self.origin: ForkOrigin | TipsetOrigin | None = None
        self.is_forked = False
        """Whether the machine itself began on a fork, under Filecoin's rules: number 0 of every test."""
        self.outside: set[str] = set()
        """The cheatcodes that have been called and may change what is outside the machine."""
        self.unused = 0
        """Gas that was left when the last call failed, had it not been used up by its failure."""

    def install(self, machine: Hypervisor) -> None:
        """Stand between the machine's calls, and put code where Solidity looks for it before it calls."""
        self.machine = machine
        machine.interceptor = self
        machine.externs = TestExterns(machine.externs, machine, self)
        if machine.context.rules == ETHEREUM:
            install(machine, {
                VM_ADDRESS: AllocAccount(0, 0, b"\0"),
                CREATE2_DEPLOYER: AllocAccount(0, 1, CREATE2_DEPLOYER_CODE),
            })  # fmt: skip
        else:
            from localnet.state.controls import set_code

            for address, code in ((VM_ADDRESS, b"\0"), (CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE)):
                set_code(machine, Address.delegated(10, address), code)

    def snapshot(self, machine: Hypervisor) -> Kept:
        """What is set now, and the block."""
        return Kept(self.state.image(), machine.context, tuple(self.console.lines))

    def restore(self, kept: Kept, machine: Hypervisor) -> None:
        """Go back to what was kept; the machine's state is the world's to bring back."""
        self.state = State.of_image(kept.state)
        if self.origin is not None:
            self.origin.book = self.state.forks
        machine.context = kept.context
        if isinstance(self.origin, TipsetOrigin):
            machine.follow_manifest()
        self.console.lines = list(kept.lines)

    def needed_origin(self) -> ForkOrigin | TipsetOrigin:
        """What hands out the accounts of forks, from the first fork on. Raises CheatcodeFailure."""
        if self.settings.has_network:
            raise CheatcodeFailure(_ON_NETWORK)
        if self.origin is None:
            if self.machine.context.rules == ETHEREUM:
                self.origin = ForkOrigin(self.machine, self.remotes)
                self.machine.state_tree.read_from(self.origin)
            else:
                self.origin = TipsetOrigin(self.machine, self.remotes, self.is_forked)
            self.origin.book = self.state.forks
        return self.origin

    @property
    def active_fork(self) -> int | None:
        """The number of the active fork."""
        if self.origin is None:
            return 0 if self.is_forked else None
        return self.origin.active

    @property
    def fork_url(self) -> str | None:
        """The URL of its node."""
        active = self.active_fork
        return None if active is None else self.state.forks.forks[active].url

    # --- the interceptor's --------------------------------------------------------------------------------------

    @property
    def is_armed(self) -> bool:
        """Whether calls between contracts have to be seen."""
        return self.state.is_armed or self.isolates

    @property
    def isolates(self) -> bool:
        """Whether a call of the test contract is to be a transaction of its own: one in such a transaction is not."""
        return self.settings.isolates and not self._is_isolated

    @property
    def watches(self) -> bool:
        """Whether all that frames do has to be seen."""
        return self.state.watches

    def sees(self, depth: int) -> bool:
        """Whether calls that frames at this depth and below it make have to be seen."""
        return self.isolates or self.state.sees(depth)

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Let a call proceed; the outermost is the test."""
        if self._apart:
            return proceed(call)
        if calls.depth == 0:
            self.test = call.to
            undo_reverted(self, calls)
            if not self.state.snapshots:
                self.state.forks.changes.clear()  # nothing takes them back any more
            if self.state.watches_steps:
                watch(self, calls, ZERO_ADDRESS, 0)
            if self.state.asks_for_forks:
                self.state.forks.first_actor = calls.tree.init_state().next_id
            self._suppose(calls)  # the rest of the block is the machine's, as the message has found it
            return self._end(calls, proceed(call))
        if isinstance(calls, EthereumCalls):
            result = self._send_measured(calls, call, proceed) if self.state.watches_gas else proceed(call)
            self.unused = 0 if result.exit_code in _RETURNING else calls.ethereum_rules.exhausted
            return result
        try:
            return filecoin_calls.send(self, calls, call, proceed)
        finally:
            undo_reverted(self, calls)

    def _send_measured(self, calls: EthereumCalls, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        used, refunded = calls.gas.used, calls.accounts.refund
        result = proceed(call)
        if call.gas_limit is not None and call.method != METHOD_CONSTRUCTOR:
            self.state.last_call = CallGas(call.gas_limit, calls.gas.used - used, calls.accounts.refund - refunded)
        return result

    def ask(self, host: EthereumHost, ask: Ask) -> Answer:
        """Answer what a frame asks for."""
        if self._apart:
            return answers.answer(host, ask)
        if isinstance(ask, CallAsk):
            if ask.address == VM_ADDRESS:
                return self._ask_cheatcode(host, ask)
            if ask.address == CONSOLE_ADDRESS:
                host.charge(host.access(ask.address))
                if ask.kind is CallKind.STATICCALL:
                    make_cold(self, host)
                self.console.write(ask.data)
                return trace_answer(host, ask, Answer(True))
        if self.state.is_armed:
            answer = attempt(self.state, attempt_of(host, ask), around_ask(self, host, ask))
        else:
            answer = answers.answer(host, ask, send=isolating_send(self, host, ask))
        undo_reverted(self, host.calls)
        if isinstance(host.calls.tracer, StepWatch):
            host.calls.tracer.goes_on(host.address, host.calls.depth)
        if self.state.deals:
            self._keep_deals(host, answer)
        if self.state.forks.forks and answer.success:
            if isinstance(ask, CallAsk):
                self.state.missing = missing_on_fork(self, host, ask) or self.state.missing
            elif answer.created is not None and is_denied(self, host.calls, host.address):
                self.state.denied.add(answer.created)
        return answer

    def _keep_deals(self, host: EthereumHost, answer: Answer) -> None:
        """What was dealt in a call that failed stays dealt: forge takes it back with the whole test only.

        What was dealt in a call that passed is its caller's: from then on only that one's failure would undo it.
        """
        depth, ledger = host.calls.depth, EthereumLedger(host.accounts)
        for deal in self.state.deals:
            if deal.depth > depth:
                deal.depth = depth
                if not answer.success:
                    (ledger.set_nonce if deal.nonce else ledger.set_balance)(deal.account, deal.amount)
        self.state.deals = [deal for deal in self.state.deals if deal.depth > 1]

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Take an actor's event for those that are recorded or expected, where it is a log."""
        log = None if self._apart else entries_to_log(event.entries)
        if log is not None:
            self.take_log(self.address_of(calls, event.emitter), log)

    def on_log(self, calls: EthereumCalls, emitter: ActorID, log: Log) -> None:
        """Take a log for those that are recorded or expected."""
        if self._apart:
            return
        self.take_log(calls.accounts.address_of(emitter), log)

    def take_log(self, emitter: EthAddress, log: Log) -> None:
        """Take a log for those that are recorded or expected, and for the console."""
        self.console.take(log)
        if self.state.logs is not None:
            self.state.logs.append(RecordedLog(log.topics, log.data, emitter))
        if self.state.emits:
            emits.take(self.state, emitter, log, self.settings.events)

    def on_storage_access(self, host: EthereumHost, slot: int, word: int | None) -> None:
        """Take a slot for those that are recorded."""
        state = self.state
        if state.arbitrary:
            if word is None:
                fill_slot(state, self.settings.seed, host, slot)
            else:
                state.drawn.add((host.address, slot))
        if state.recording:
            state.reads.setdefault(host.address, []).append(slot)
            if word is not None:
                state.writes.setdefault(host.address, []).append(slot)
        if state.mappings is not None and word is not None:
            state.mappings.setdefault(host.address, MappingSlots()).written(slot)
        if state.diff is not None:
            before = host.accounts.word(host.actor, slot)
            note_slot(state, host.address, slot, word is not None, before, before if word is None else word)

    def on_hash(self, host: EthereumHost, data: bytes, digest: bytes) -> None:
        """Take what may be a mapping's slot, with its key and the mapping's own."""
        if self.state.mappings is not None:
            slots = self.state.mappings.setdefault(host.address, MappingSlots())
            slots.hashes[int.from_bytes(digest, "big")] = data[:32], int.from_bytes(data[32:], "big")

    # --- cheatcodes ---------------------------------------------------------------------------------------------

    def _ask_cheatcode(self, host: EthereumHost, ask: CallAsk) -> Answer:
        host.charge(host.access(ask.address))
        context = Context(self, host.calls, host.address, host.calls.depth, EthereumLedger(host.accounts), host)
        return trace_answer(host, ask, self.answer(context, ask.data))

    def answer(self, context: Context, data: bytes) -> Answer:
        """Carry out a cheatcode; an expected failure of it is none."""
        before = self.state.revert
        answer = self._carry_out(context, data)
        expected = self.state.revert
        waited = expected is not None and expected is before and expected.cheatcode
        if waited and expected is not None and context.depth <= expected.depth:
            return check_revert(self.state, expected, answer, False, said)
        return answer

    def _carry_out(self, context: Context, data: bytes) -> Answer:
        entry = table().get(data[:4])
        if entry is None:
            return Answer(False, failure_data(_unknown(data[:4])))
        try:
            if self.state.forks.forks:
                check_access(context)
            if entry.name in _OUTSIDE:
                self.outside.add(entry.name)
            if entry.name.startswith(_KEEPING):
                check_size(self.state.kept + len(data), "what the test keeps", MOST_KEPT)
                self.state.kept += len(data)
            given = entry.run(context, *decode(entry.parameters, data[4:]))
            if not entry.returns:
                return Answer(True, given if isinstance(given, bytes) else b"")
            return Answer(True, encode(entry.returns, given if len(entry.returns) > 1 else [given]))
        except RecursionError:
            return Answer(False, failure_data(f"vm.{entry.name}: what it was given is nested too deeply"))
        except CheatcodeFailure as failure:
            if failure.data is not None:
                return Answer(False, failure.data)
            named = failure.named and not any(part in entry.name for part in _UNNAMED)
            return Answer(False, failure_data(f"vm.{entry.name}: {failure.message}" if named else failure.message))

    # --- the end of the test ------------------------------------------------------------------------------------

    def _end(self, calls: CallManager, result: CallResult) -> CallResult:
        state = self.state
        if state.revert is not None and not state.revert.cheatcode:
            expected, state.revert = state.revert, None
            if self.settings.internal_reverts:
                expected.deepest = max(expected.deepest, expected.depth + 1)
            answer = answers.outcome(result)
            ended = check_revert(state, expected, answer, False, lambda data: said(data, self.settings.errors))
            state.revert = None
            if not ended.success:
                return _revert_result(ended.output)
            if self.settings.internal_reverts:
                return CallResult(ExitCode.OK)
        missing, state.missing = state.missing, None
        if result.exit_code != ExitCode.OK:
            return result if missing is None else _revert_result(encode(["string"], [missing]))
        message = state.failure or _missing_call(state) or emits.left_over(state) or _missing_creation(state)
        state.failure = None
        return result if message is None else _revert_result(failure_data(message))

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Messages inside are no part of the test: nothing of them is changed, expected or recorded."""
        self._apart += 1
        try:
            yield
        finally:
            self._apart -= 1

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """What happens inside is a transaction of its own in the test."""
        self._is_isolated = True
        try:
            yield
        finally:
            self._is_isolated = False

    # --- what contracts see -------------------------------------------------------------------------------------

    def renew(self, calls: CallManager) -> None:
        """Let contracts see the block and the transaction as they are set."""
        if isinstance(calls, EthereumCalls):
            calls.renew_block()
            self._suppose(calls)
        elif isinstance(self.origin, TipsetOrigin):
            self.machine.follow_manifest()
            calls.prices = self.machine.context.network.prices

    def _suppose(self, calls: CallManager) -> None:
        """Let contracts see of the transaction what cheatcodes have set."""
        if not isinstance(calls, EthereumCalls):
            return
        block: BlockValues = self.state.block
        around = calls.environment
        if block.gas_price is not None:
            around = replace(around, context=replace(around.context, gas_price=block.gas_price))
        if block.blob_hashes is not None:
            around = replace(around, blob_hashes=block.blob_hashes)
        if block.blob_base_fee is not None:
            around = replace(around, blob_base_fee=block.blob_base_fee)
        calls.environment = around

    def set_origin(self, calls: CallManager, origin: EthAddress) -> None:
        """Let contracts see another sender of the message."""
        if isinstance(calls, EthereumCalls):
            calls.environment = replace(calls.environment, origin=origin)
        else:
            calls.origin = FilecoinLedger(self.machine).touch(origin)
            calls.origin_address = Address.id(calls.origin)

    def address_of(self, calls: CallManager, actor: ActorID) -> EthAddress:
        """An actor's Ethereum address."""
        if isinstance(calls, EthereumCalls):
            return calls.accounts.address_of(actor)
        return filecoin_calls.ethereum_address_of(calls, actor)


def _unknown(selector: bytes) -> str:
    name = name_of(selector)
    if name is None:
        return (
            f"unknown cheatcode with selector 0x{selector.hex()}; you may have a mismatch between the `Vm` interface "
            "(likely in `forge-std`) and the `forge` version"
        )
    reason = next((words for signature, words in MISSING.items() if signature.split("(")[0] == name), "")
    return f"vm.{name}: this cheatcode is not supported: {reason}"


def _revert_result(output: bytes) -> CallResult:
    return CallResult(ExitCode.EVM_CONTRACT_REVERTED, DataBlock(CBOR, byte_string(output)))


def _missing_call(state: State) -> str | None:
    for address, expectations in state.calls.items():
        for (data, kind), expected in expectations.items():
            if expected.seen == expected.count or (expected.seen > expected.count and not expected.exactly):
                continue
            values = [f"data 0x{data.hex()}"]
            values += [] if expected.value is None else [f"value {expected.value}"]
            values += [] if expected.gas is None else [f"gas {expected.gas}"]
            values += [] if expected.min_gas is None else [f"minimum gas {expected.min_gas}"]
            values += [] if kind is None else [f"call type {kind.value.title()}"]
            return (
                f"expected call to {filecoin_calls.shown(address)} with {', '.join(values)} to be called "
                f"{_times(expected.count)}, but was called {_times(expected.seen)}"
            )
    return None


def _missing_creation(state: State) -> str | None:
    for expected in state.creates:
        return (
            f"expected {expected.kind} call by address 0x{expected.deployer.hex()} for bytecode "
            f"0x{expected.code.hex()} but not found"
        )
    return None


def _times(count: int) -> str:
    return f"{count} time" if count == 1 else f"{count} times"
