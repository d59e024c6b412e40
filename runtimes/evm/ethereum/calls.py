"""One transaction's calls under Ethereum's rules: the machine's call manager with Ethereum's gas, depth and accounts.

Every CALL and CREATE comes through here as a call between actors: a precompile answers itself, an account without code
takes the money, a contract is dispatched to the runtime of its code. A native actor runs on a tracker of its own, in
the network's milligas: the gas it is given times the exchange rate, and its caller pays what it used, rounded up; a
contract that it calls gets back to Ethereum's gas the same way.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from bridge.addresses import EthAddress
from bridge.ethereum_block import EthereumBlock
from bridge.events import Log, entries_to_log, log_to_entries
from bridge.gas import DEFAULT_RATE
from bridge.method_numbers import INVOKE_EVM
from hypervisor.address import Address
from hypervisor.blocks import Block
from hypervisor.call import Call, CallResult
from hypervisor.call_manager import CallManager
from hypervisor.errors import OutOfGas
from hypervisor.events import StampedEvent
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MAX_MILLIGAS, GasTracker
from hypervisor.network_versions import LATEST, network_version
from hypervisor.prices import Price, PriceList
from hypervisor.state_tree import ActorState
from hypervisor.tracing import EventEmitted
from hypervisor.types import INIT_ACTOR, METHOD_CONSTRUCTOR, ActorID
from runtimes.evm.engine import TxContext
from runtimes.evm.ethereum.accounts import Accounts, ethereum_address
from runtimes.evm.ethereum.forks import Fork
from runtimes.evm.ethereum.precompiles import run_precompile
from runtimes.evm.interception import stands_between_frames
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.rules import filecoin_rules
from store.cid import RAW

if TYPE_CHECKING:
    from hypervisor.machine import Hypervisor

MAX_FRAMES: Final = 1025
"""A transaction's first frame and 1,024 below it."""

_NONE: Final[Mapping[EthAddress, str]] = MappingProxyType({})

FREE: Final = LATEST.prices.successor(
    "free",
    storage_per_byte=0,
    transfer=0,
    invoke=Price(),
    return_per_link=0,
    actor_lookup=0,
    actor_update=0,
    actor_create=0,
    address_lookup=0,
    address_assignment=0,
)
"""What the call manager charges between contracts: the work of the machine costs nothing in Ethereum's gas."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What does not change within a transaction: the rules, the block, and what opcodes ask of both."""

    fork: Fork
    block: EthereumBlock
    context: TxContext
    origin: EthAddress
    blob_hashes: tuple[bytes, ...]
    blob_base_fee: int


class EthereumCalls(CallManager):
    """Everything that lives as long as one transaction."""

    def __init__(
        self,
        machine: "Hypervisor",
        gas: GasTracker,
        origin: ActorID,
        origin_address: Address,
        nonce: int,
        surroundings: Surroundings,
    ) -> None:
        super().__init__(machine, gas, origin, origin_address, None, nonce)
        self._network_prices: PriceList = self.prices
        self.prices = FREE
        self._native = False
        """Whether a native actor is at work: gas is milligas then, at the network's prices."""
        self.max_depth = MAX_FRAMES
        self.surroundings = surroundings
        self._creation: Call | None = None
        self.exhausted = 0
        """What was left of its gas when the last frame that failed without reverting did so."""
        self.accounts = Accounts(machine, self.journal, surroundings.block.filecoin_addresses)
        self._precompiles = surroundings.fork.precompiles
        self.frames = self.interceptor if stands_between_frames(self.interceptor) else None
        self.filecoin_precompiles = _NONE
        if surroundings.block.filecoin_addresses:
            self.filecoin_precompiles = filecoin_precompiles(machine.context.network.number)

    # --- calls ------------------------------------------------------------------------------------------------

    def try_first(
        self, call: Call, actor: ActorID, address: EthAddress, run: Callable[[], CallResult | None]
    ) -> CallResult | None:
        """Run a transaction's first call without kernel and dispatch, its value paid; taken back where it fails, or
        is None.
        """
        mark = self._begin()
        self.depth += 1
        result: CallResult | None = None
        try:
            self.accounts.touch(address)
            if call.value:
                self.transfer(call.from_, actor, call.value)
            result = run()
        finally:
            self.depth -= 1
            if result is not None and result.exit_code == ExitCode.OK:
                self.tree.commit()
            else:
                self._rollback(mark)
        return result

    def creation(self, call: Call) -> Call:
        """The call as one that makes the contract which it constructs. Else only the init actor may construct one."""
        self._creation = call
        return call

    def _send_unresolved(self, call: Call) -> CallResult:
        address = ethereum_address(call.to)
        name = None if address is None else self._precompiles.get(address)
        if address is not None and name is not None:
            return self._precompile(call, address, name)
        if address is not None:
            self.accounts.touch(address)
        actor = self.accounts.find(address) if address is not None else self.tree.lookup_id(call.to)
        if call is self._creation and address is not None:
            actor = self.accounts.bring_into_being(address) if actor is None else actor
            self.accounts.create(actor)
        elif actor is None:
            if address is None:
                return super()._send_unresolved(call)
            if call.value == 0:
                return CallResult(ExitCode.OK)  # nobody there, and nobody comes into being (EIP-161)
            actor = self.accounts.bring_into_being(address)
        return self._send_resolved(call, actor)

    def _precompile(self, call: Call, address: EthAddress, name: str) -> CallResult:
        """Take the money, run the function; a failure uses up all gas of the call."""
        if call.value:
            self.transfer(call.from_, self._account(address), call.value)
        if self._native:
            with self._in_ethereum_gas():
                return self._run_precompile(call, name)
        return self._run_precompile(call, name)

    def _run_precompile(self, call: Call, name: str) -> CallResult:
        data = call.params.data if call.params else b""
        try:
            output = run_precompile(self.surroundings.fork, name, data, self.gas)
        except (PrecompileFailure, OutOfGas) as error:
            self.exhaust()
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=f"{name}: {error}")
        return CallResult(ExitCode.OK, Block(RAW, output))

    def _account(self, address: EthAddress) -> ActorID:
        actor = self.accounts.find(address)
        return self.accounts.bring_into_being(address) if actor is None else actor

    def _invoke(self, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        code = state.code
        if code in self.accounts.account_codes and call.method == INVOKE_EVM:
            return CallResult(ExitCode.OK)
        is_contract = code == self.accounts.evm_code
        constructs = is_contract and call.method == METHOD_CONSTRUCTOR
        if constructs and call is not self._creation and call.from_ != INIT_ACTOR:
            # as on the network: whoever could do this would run code of their own in the contract's name
            return CallResult(ExitCode.USR_FORBIDDEN, message="a contract is constructed by its creation only")
        if is_contract and self._native:
            with self._in_ethereum_gas():
                return super()._invoke(call, actor, state)
        if is_contract or self._native:
            return super()._invoke(call, actor, state)
        try:
            with self.in_milligas(self.gas.available):
                return super()._invoke(call, actor, state)
        except OutOfGas as error:
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=str(error))

    def exhaust(self) -> None:
        """Use up what is left in the gas frame in force."""
        self.exhausted = self.gas.available
        self.gas.charge("OnFailure", self.exhausted)

    def renew_block(self) -> None:
        """Let opcodes see the machine's context as it is now."""
        now, block = self.machine.context, self.surroundings.block
        if isinstance(now.block, EthereumBlock):
            block = now.block
        context = replace(
            self.surroundings.context,
            coinbase=block.coinbase,
            number=now.epoch,
            timestamp=now.timestamp,
            gas_limit=block.gas_limit,
            chain_id=now.chain_id,
            base_fee=now.base_fee,
        )
        self.surroundings = replace(self.surroundings, block=block, context=context)

    # --- between the two units --------------------------------------------------------------------------------

    @contextmanager
    def in_milligas(self, given: int) -> Iterator[None]:
        """What runs inside has `given` gas, on the network's tracker and at its prices; what it uses is rounded up."""
        gas = GasTracker(min(given * DEFAULT_RATE, MAX_MILLIGAS), tracer=self.tracer)
        try:
            with self._counting(gas, native=True):
                yield
        finally:
            self.gas.charge("OnNativeCall", min(given, -(-gas.used // DEFAULT_RATE)))

    @contextmanager
    def _in_ethereum_gas(self) -> Iterator[None]:
        """What a native actor calls runs inside with all that is left, in whole Ethereum gas."""
        gas = GasTracker(self.gas.available // DEFAULT_RATE, tracer=self.tracer, per_gas=1)
        try:
            with self._counting(gas, native=False):
                yield
        finally:
            self.gas.charge("OnContractCall", gas.used * DEFAULT_RATE)

    @contextmanager
    def _counting(self, gas: GasTracker, native: bool) -> Iterator[None]:
        outer = self.gas, self._native, self.prices
        self.gas, self._native, self.prices = gas, native, self._network_prices if native else FREE
        try:
            yield
        finally:
            self.gas, self._native, self.prices = outer

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """What happens inside is kept as a whole, or taken back where it raises."""
        mark = self._begin()
        try:
            yield
        except BaseException:
            self._rollback(mark)
            raise
        self.tree.commit()

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What happens inside is taken back, gas and memory included; whoever stands between frames is told nothing.

        An interrupt meanwhile holds: nothing is left of the gas then.
        """
        mark, frames, memory = self._begin(), self.frames, self.memory.used
        limit, used = self.gas.limit, self.gas.used
        self.frames = None
        try:
            yield
        finally:
            self.frames, self.memory.used, self.gas.used = frames, memory, used
            if self.gas.limit != limit:
                self.gas.exhaust()
            self._rollback(mark)

    # --- actors: free for contracts ---------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Look an actor up."""
        return super().get_actor(actor) if self._native else self.tree.get_actor(actor)

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Change or create an actor."""
        if self._native:
            super().set_actor(actor, state)
        else:
            self.tree.set_actor(actor, state)

    # --- logs -------------------------------------------------------------------------------------------------

    def log(self, emitter: ActorID, log: Log) -> None:
        """Emit a contract's log as an event, of any size."""
        self.emit([StampedEvent(emitter, tuple(log_to_entries(log)))])

    def emit(self, events: Iterable[StampedEvent]) -> None:
        """Emit events that are logs of contracts."""
        if self.frames is None and self.tracer is None:
            self.events.extend(events)
            return
        for event in events:
            self.events.append(event)
            self.tell(event)

    def tell(self, event: StampedEvent) -> None:
        """Tell those who listen of a contract's log."""
        if self.frames is not None:
            self.frames.logged(self, event.emitter, cast(Log, entries_to_log(event.entries)))
        if self.tracer is not None:
            listed = tuple((entry.flags, entry.key, entry.codec, entry.value) for entry in event.entries)
            self.tracer.event(EventEmitted(event.emitter, listed))


@lru_cache
def filecoin_precompiles(network: int) -> Mapping[EthAddress, str]:
    """Filecoin's own precompiles in a network version, by address."""
    precompiles = filecoin_rules(network_version(network)).precompiles
    return MappingProxyType({address: name for address, name in precompiles.items() if name in FILECOIN})
