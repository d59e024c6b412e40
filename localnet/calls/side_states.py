"""Calls of Filecoin precompiles for contracts that another EVM executes, on states outside the chain.

forge executes contracts itself and has no actors. Its tests send the calls of Filecoin precompiles to this node
(`localnet/solidity/FilecoinFork.sol`).

- Each call names the state that it starts from, and returns the name of the state after it.
- The client keeps these names, so a state that the test reverts is reverted here too.
- Contracts run in forge and actors run here. If an actor calls a contract, the client executes the contract and
  repeats the call with the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress, address_of_actor, to_ethereum, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import calldata_of, encode_method_calldata
from bridge.filecoin.receipts import return_bytes
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import StateTree
from hypervisor.tracing import CallNode, CallTrees
from hypervisor.types import SYSTEM_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from localnet.chain.chain import Chain
from localnet.chain.supply import supply_of
from localnet.ledger.records import Tipset
from localnet.rules.facts import BLOCK_GAS_LIMIT
from localnet.rules.parts import rules_of
from localnet.state.controls import set_balance, set_code
from store.blockstore import BlockNotFound
from store.cid import Cid, show
from store.codec import encode

if TYPE_CHECKING:
    from hypervisor.machine.call_manager import CallManager
    from hypervisor.messages.events import StampedEvent

MAX_BYTES: Final = 256 << 20
"""Maximum size in bytes of blocks of side states; above it, all side states are dropped."""
MAX_HELD: Final = 1_000
"""Maximum number of block states retained as starting points of side states; above it, the oldest is released."""

_FIRST_EXPORTED: Final = 1 << 10
"""First exported method number; lower ones are internal methods that no contract's code handles."""


@dataclass(frozen=True, slots=True)
class ContractResult:
    """Result of a contract executed by the client: `output` is the returned or revert data."""

    success: bool
    output: bytes


@dataclass(frozen=True, slots=True)
class SideCall:
    """A precompile call of a contract. Balance in attoFIL, time in Unix seconds.

    `contracts` and `accounts` are addresses in use where the contract runs, which may be unknown here. `answers` are
    the results of contract calls requested earlier by this call.
    """

    state: Cid
    precompile: EthAddress
    data: bytes
    sender: EthAddress
    balance: TokenAmount
    read_only: bool
    epoch: ChainEpoch
    time: int
    contracts: Sequence[EthAddress] = ()
    accounts: Sequence[EthAddress] = ()
    answers: Sequence[ContractResult] = ()


@dataclass(frozen=True, slots=True)
class ContractCall:
    """A contract that the client has to run before the call can continue."""

    contract: EthAddress
    caller: EthAddress
    calldata: bytes
    value: TokenAmount
    read_only: bool


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """An address whose balance the call changed, in attoFIL."""

    address: EthAddress
    before: TokenAmount
    after: TokenAmount


@dataclass(frozen=True, slots=True)
class SideCallResult:
    """Result of a call as the opcode sees it (`success` and `output`), or the call that must be executed first."""

    state: Cid
    success: bool = False
    output: bytes = b""
    changes: tuple[BalanceChange, ...] = ()
    ask: ContractCall | None = None


class SideStates:
    """The side states of a chain. Used by one thread at a time."""

    def __init__(self, chain: Chain, max_bytes: int = MAX_BYTES) -> None:
        self._chain, self._max_bytes = chain, max_bytes
        self._base: Hypervisor | None = None
        self._held: dict[Cid, Tipset] = {}
        self._stored_bytes = 0

    def begin(self, tipset: Tipset) -> Cid:
        """Return the name of the state after a block."""
        machine = self._chain.machine_at(tipset)
        root = machine.root
        self._keep(machine, root)
        self._hold(tipset)
        return root

    def call(self, call: SideCall) -> SideCallResult:
        """Execute a call. Raises InvalidInput for an unknown state or an unsupported call."""
        machine = self._machine(call)
        _prepare(machine, call)
        before = StateTree(machine.store, machine.root)
        contracts, trees = _Contracts(machine, call), CallTrees()
        machine.interceptor, machine.tracer = contracts, trees
        message = Message(
            to_filecoin(call.sender), Address.id(SYSTEM_ACTOR), method=INVOKE_EVM, params=encode(call.data),
            gas_limit=Gas(BLOCK_GAS_LIMIT),
        )  # fmt: skip
        result = machine.apply_implicit(message)
        if contracts.ask is not None:
            if contracts.ask.value:
                raise InvalidInput(f"an actor sends {contracts.ask.value} attoFIL with a call of a contract's method")
            return SideCallResult(call.state, ask=contracts.ask)
        if result.fatal is not None:
            raise result.fatal
        if result.exit_code != ExitCode.OK:  # out of gas
            return SideCallResult(call.state)
        returned = return_bytes(message, result.receipt)
        root = machine.root
        self._keep(machine, root)
        return SideCallResult(root, returned[31] == 1, returned[32:], tuple(_changes(before, machine, trees.roots)))

    def _machine(self, call: SideCall) -> Hypervisor:
        """Return a machine at the state and in the block that a call starts from."""
        chain = self._chain
        tipset = chain.index.tipset_before(min(call.epoch, chain.head.height)) or chain.head
        try:
            machine = self._fork_base().fork(call.state)
        except BlockNotFound:
            raise InvalidInput(
                f"the state {show(call.state)} is not stored, or was dropped: start again from a block"
            ) from None
        machine.advance(
            epoch=call.epoch,
            timestamp=call.time,
            base_fee=tipset.base_fee,
            circulating_supply=supply_of(machine.state_tree, chain.record.vested).circulating,
            network=chain.record.network_at(tipset.height),
        )
        return machine

    def _fork_base(self) -> Hypervisor:
        if self._base is None or self._stored_bytes > self._max_bytes:
            self._base, self._stored_bytes = self._chain.machine.fork(), 0
            while self._held:
                self._release_oldest()
        return self._base

    def _hold(self, tipset: Tipset) -> None:
        """Store the state of a block, which later states share blocks with."""
        if tipset.state not in self._held:
            self._chain.states.hold(tipset)
            self._held[tipset.state] = tipset
            if len(self._held) > MAX_HELD:
                self._release_oldest()

    def _release_oldest(self) -> None:
        self._chain.states.release(self._held.pop(next(iter(self._held))))

    def _keep(self, machine: Hypervisor, root: Cid) -> None:
        blocks = machine.store.reachable(root)
        self._fork_base().base.put_many(blocks)
        self._stored_bytes += sum(len(data) for _, data in blocks)


class _Contracts:
    """An interceptor (`hypervisor.kernel.call`) that runs no contract except the calling one."""

    def __init__(self, machine: Hypervisor, call: SideCall) -> None:
        self._machine, self._read_only = machine, call.read_only
        self._answers, self._has_started = iter(call.answers), False
        self.ask: ContractCall | None = None

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        """Execute calls of actors, return known results for contracts, and record the next unknown call."""
        if not self._has_started:
            self._has_started = True
            return proceed(replace(call, read_only=call.read_only or self._read_only))
        address = self._contract(calls, call)
        if address is None or self.ask is not None:
            return proceed(call)
        outcome = next(self._answers, None)
        if outcome is not None:
            set_code(self._machine, to_filecoin(address), _fixed_result_code(outcome))
            return proceed(call)
        caller = address_of_actor(calls.tree, call.from_)
        self.ask = ContractCall(address, caller, _calldata(call), call.value, call.read_only)
        return CallResult(ExitCode.SYS_ASSERTION_FAILED, message="a contract must run elsewhere first")

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Do nothing: results contain no events."""

    def _contract(self, calls: CallManager, call: Call) -> EthAddress | None:
        """Return the address of the contract whose code a call would run."""
        if call.method < _FIRST_EXPORTED:
            return None
        actor = calls.tree.lookup_id(call.to)
        state = None if actor is None else calls.tree.get_actor(actor)
        if actor is None or state is None or state.code != self._machine.manifest.code("evm"):
            return None
        return to_ethereum(actor, state.delegated_address)


def _prepare(machine: Hypervisor, call: SideCall) -> None:
    """Create the actors of the client's state; the code of the calling contract only calls the precompile."""
    for address in (*call.contracts, call.sender):
        set_code(machine, to_filecoin(address), _asking(call.precompile))
    limit = rules_of(machine).limits.balance
    for address in call.accounts:
        filecoin = to_filecoin(address)
        set_balance(machine, filecoin, TokenAmount(machine.balance(filecoin)), limit)
    set_balance(machine, to_filecoin(call.sender), call.balance, limit)


def _asking(precompile: EthAddress) -> bytes:
    """Return code that delegates its calldata to a precompile and returns a success word and the output."""
    ask = bytes.fromhex("365f5f375f5f365f73") + precompile + bytes.fromhex("5af4")
    return ask + bytes.fromhex("5f523d5f60203e3d6020015ff3")


def _fixed_result_code(outcome: ContractResult) -> bytes:
    """Return code that answers every call with fixed data."""
    end = b"\xf3" if outcome.success else b"\xfd"
    return b"\x63" + len(outcome.output).to_bytes(4, "big") + bytes.fromhex("80600c5f395f") + end + outcome.output


def _calldata(call: Call) -> bytes:
    """Return the calldata of the called contract."""
    codec, data = (0, b"") if call.params is None else (call.params.codec, call.params.data)
    if call.method == INVOKE_EVM:
        return calldata_of(codec, data) if data else b""
    return encode_method_calldata(call.method, codec, data)


def _changes(before: StateTree, machine: Hypervisor, roots: Sequence[CallNode]) -> list[BalanceChange]:
    """Return the changed balances of the participants in the calls."""
    tree, nodes, parts = machine.state_tree, list(roots), dict[ActorID, None]()
    for node in nodes:
        nodes.extend(node.calls)
        for actor in (node.start.from_, node.actor, tree.lookup_id(node.start.to)):
            if actor is not None:
                parts[actor] = None
    found = []
    for actor in parts:
        old, new = (
            TokenAmount(0 if state is None else state.balance)
            for state in (before.get_actor(actor), tree.get_actor(actor))
        )
        if old != new:
            found.append(BalanceChange(address_of_actor(tree, actor), old, new))
    return found
