"""Two machines over one bundle: one runs contracts on the EVM runtime, the other on the official EVM actor.

Without an official bundle, the two engines of the EVM runtime are compared over our own bundle.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, to_filecoin
from bridge.evm_steps import EvmStep
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor.bundles.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.errors import HypervisorError
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.tracing import CallEnded, CallStarted, Detail, Recorder, RuntimeEvent, TraceEvent, Tracer
from hypervisor.types import EAM_ACTOR, SYSTEM_ACTOR, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import LATEST, NetworkVersion
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from store.cid import Cid, cid_of
from tests.engines.side_by_side import BOTH

RUNNERS: Final = (BOTH, "official")
"""Runners of contracts. Ours is both our engines at once: if they differ, the case ends with an error."""
ENGINES: Final = ("fast", "py-evm")
"""Runners without an official EVM actor."""
EPOCH: Final = ChainEpoch(700)
TIMESTAMP: Final = 1_700_000_123
EPOCH_SECONDS: Final = 30
GAS_LIMIT: Final = Gas(1_000_000_000)
"""Default gas limit of a message."""


RAN_OUT, LOOKED = "one of the two ran out of gas", "the code looks at the gas that is left"
_CALLS: Final = ("CALL", "DELEGATECALL", "STATICCALL")


@dataclass(frozen=True, slots=True)
class CallOf:
    """A message: a call of a contract, or a creation if `to` is None.

    `value` is in attoFIL, `later` in epochs after the case's first message. With a `method` it is an implicit message
    from any actor, and `data` holds its parameters.
    """

    sender: EthAddress
    to: EthAddress | None
    data: bytes = b""
    value: int = 0
    later: int = 0
    method: int | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Accounts, and the messages that are applied to them in order.

    `theme` is the class under which gas is reported; `gas_limit` applies to each message.
    """

    name: str
    theme: str
    accounts: Mapping[EthAddress, AllocAccount]
    calls: Sequence[CallOf]
    gas_limit: Gas = GAS_LIMIT


@dataclass(frozen=True, slots=True)
class Outcome:
    """The effects of one message: all except gas must be the same on both machines."""

    exit_code: int
    return_data: bytes
    events: tuple[StampedEvent, ...]
    root: Cid
    gas: int
    codec: int | None = None
    """Codec of the return data, if the message names a method."""

    def differences(self, other: "Outcome") -> Iterator[str]:
        """Return the names of the fields that differ."""
        for name in ("exit_code", "return_data", "events", "root", "codec"):
            if getattr(self, name) != getattr(other, name):
                yield name


@dataclass(frozen=True, slots=True)
class Compared:
    """A case on both machines. `difference` is empty if they agree.

    `by_gas` describes a difference caused by gas: at the first different call, one machine ran out of gas, or the code
    read the remaining gas. Since the EVM runtime derives gas, neither is a finding.
    """

    case: Case
    ours: tuple[Outcome, ...]
    official: tuple[Outcome, ...]
    difference: str = ""
    by_gas: str = ""

    @property
    def gas_decided(self) -> bool:
        """True if the difference is due to gas."""
        return bool(self.by_gas)


def install_contracts(machine: Hypervisor, accounts: Mapping[EthAddress, AllocAccount]) -> None:
    """Write accounts into a machine's state, contracts in the form that the actors of its network version read."""
    install_alloc(machine, accounts)
    if "TRANSIENT" in machine.context.network.evm:
        return
    # states as actors without transient storage have them, of five fields
    tree, store = machine.state_tree, machine.store
    tree.flush()
    code = machine.manifest.code("evm")
    for actor, state in [found for found in tree.actors() if found[1].code == code]:
        block = EvmState.decode(store.get(state.head)).encode(transient_field=False)
        store.put(cid_of(block), block)
        tree.set_actor(actor, replace(state, head=cid_of(block)))


class Twin:
    def __init__(self, bundle: Bundle, evm: str, network: NetworkVersion = LATEST) -> None:
        context = MachineContext(network, epoch=EPOCH, timestamp=TIMESTAMP)
        self.machine = Hypervisor.open(bundle=bundle, evm=evm, context=context)
        self._empty = self.machine.snapshot()

    def begin(self, accounts: Mapping[EthAddress, AllocAccount]) -> None:
        self.machine.restore(self._empty)
        install_contracts(self.machine, accounts)

    def run(self, case: Case) -> Iterator[Outcome]:
        """Start from the case's accounts and apply its messages."""
        self.begin(case.accounts)
        nonces = {address: account.nonce for address, account in case.accounts.items()}
        for call in case.calls:
            yield self._apply(call, nonces.get(call.sender, 0), case.gas_limit)
            if call.method is None:
                nonces[call.sender] += 1

    def trail(self, case: Case) -> list[int | None]:
        """Return the calls' starts and ends in order: None for a start, the exit code for an end."""
        recorder = self.machine.tracer = Recorder()
        try:
            for _ in self.run(case):
                pass
        finally:
            self.machine.tracer = None
        calls = [event for event in recorder.events if isinstance(event, CallStarted | CallEnded)]
        return [event.exit_code if isinstance(event, CallEnded) else None for event in calls]

    def reads_gas(self, case: Case) -> bool:
        """Return True if code reads the remaining gas other than to pass it to a call (EVM runtime only)."""
        reader = self.machine.tracer = _GasReader()
        try:
            for _ in self.run(case):
                pass
        finally:
            self.machine.tracer = None
        return reader.found

    def _apply(self, call: CallOf, nonce: int, gas_limit: Gas) -> Outcome:
        self.machine.advance(epoch=ChainEpoch(EPOCH + call.later), timestamp=TIMESTAMP + EPOCH_SECONDS * call.later)
        codec = None
        if call.method is None:
            result = self._send(call, nonce, gas_limit)
        else:
            result, codec = self._ask(_direct(call))
        if result.fatal is not None:
            raise result.fatal
        root = self.machine.root
        return Outcome(int(result.exit_code), result.return_data, result.events, root, result.gas_used, codec)

    def _ask(self, message: Message) -> tuple[ApplyResult, int]:
        recorder = self.machine.tracer = Recorder()
        try:
            result = self.machine.apply_implicit(message)
        finally:
            self.machine.tracer = None
        *_, last = (event for event in recorder.events if isinstance(event, CallEnded))
        return result, last.return_codec

    def _send(self, call: CallOf, nonce: int, gas_limit: Gas) -> ApplyResult:
        creation = call.to is None
        message = Message(
            to=Address.id(EAM_ACTOR) if call.to is None else to_filecoin(call.to),
            from_=to_filecoin(call.sender),
            nonce=nonce,
            value=TokenAmount(call.value),
            method=MethodNumber(CREATE_EXTERNAL_METHOD if creation else INVOKE_EVM),
            params=byte_string(call.data) if call.data or creation else b"",
            gas_limit=gas_limit,
        )
        return self.machine.apply(message)


def _direct(call: CallOf) -> Message:
    assert call.to is not None
    assert call.method is not None
    sender = Address.id(SYSTEM_ACTOR) if call.sender == ZERO_ADDRESS else to_filecoin(call.sender)
    return Message(to_filecoin(call.to), sender, method=MethodNumber(call.method), params=call.data)


class _GasReader(Tracer):
    """Detects GAS opcodes that are not followed by a call."""

    detail = Detail.STEPS

    def __init__(self) -> None:
        self.found = False
        self._last = ""

    def event(self, event: TraceEvent, /) -> None:
        """Ignore events other than instructions."""

    def step(self, event: RuntimeEvent, /) -> None:
        if isinstance(event, EvmStep):
            self.found |= self._last == "GAS" and event.name not in _CALLS
            self._last = event.name


class Twins:
    def __init__(self, bundle: Bundle, runners: tuple[str, str] = RUNNERS, network: NetworkVersion = LATEST) -> None:
        self.ours, self.official = (Twin(bundle, evm, network) for evm in runners)

    def compare(self, case: Case) -> Compared:
        """Run a case on both machines, up to the first message with different results."""
        ours: list[Outcome] = []
        official: list[Outcome] = []
        try:
            for mine, other in zip(self.ours.run(case), self.official.run(case), strict=True):
                ours.append(mine)
                official.append(other)
                found = list(mine.differences(other))
                if found:
                    return self._judge(case, ours, official, f"message {len(ours) - 1}: {_words(mine, other, found)}")
        except HypervisorError as error:
            return Compared(case, tuple(ours), tuple(official), f"message {len(ours)}: {type(error).__name__}: {error}")
        return Compared(case, tuple(ours), tuple(official))

    def _judge(self, case: Case, ours: list[Outcome], official: list[Outcome], difference: str) -> Compared:
        trails = zip(self.ours.trail(case), self.official.trail(case), strict=False)
        diverged = next((pair for pair in trails if pair[0] != pair[1]), ())
        decided = RAN_OUT if ExitCode.SYS_OUT_OF_GAS in diverged else LOOKED if self.ours.reads_gas(case) else ""
        return Compared(case, tuple(ours), tuple(official), difference, decided)


def _words(mine: Outcome, other: Outcome, names: list[str]) -> str:
    text = []
    for name in names:
        values = [getattr(outcome, name) for outcome in (mine, other)]
        shown = [value.hex() if isinstance(value, bytes) else str(value) for value in values]
        text.append(f"{name} {shown[0]:.200} here, {shown[1]:.200} of the official actor")
    return "; ".join(text)
