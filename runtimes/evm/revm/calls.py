"""The kernel's calls under Ethereum's rules: the call manager, and the resolution of addresses.

Calls of native actors and theirs pass through here; `EthereumCallRules` executes them. A precompile runs immediately,
an account without code only receives value, and the session runs a contract (`native`). A native actor runs with a
separate tracker in the network's milligas: the gas it is given times the exchange rate. Its caller pays what it used,
rounded up. A contract that it calls uses Ethereum gas again, converted in the same way.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from bridge.ethereum.addresses import EthAddress, ethereum_text
from bridge.ethereum.block import SYSTEM_ADDRESS, TRANSFER_EVENT, EthereumBlock
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.receipts import Log, log_to_entries
from bridge.gas import DEFAULT_RATE
from hypervisor.errors import ActorExit, ActorFatal, LongExecution, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import MAX_MILLIGAS, GasTracker
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult, LentCode
from hypervisor.machine.call_manager import CallManager, MessageOrigin
from hypervisor.machine.call_rules import FILECOIN_CALLS
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.prices import Price, PriceList
from hypervisor.state.state_tree import ActorState
from hypervisor.state.undo_map import Journal
from hypervisor.tracing import EventEmitted
from hypervisor.types import INIT_ACTOR, METHOD_CONSTRUCTOR, SYSTEM_ACTOR, ActorID, TokenAmount
from hypervisor.versions.network_versions import LATEST
from runtimes.evm.contracts.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.contracts.engine import TxContext
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.precompiles.filecoin import FILECOIN
from runtimes.evm.contracts.rules import filecoin_evm_rules
from runtimes.evm.forks.forks import Fork
from runtimes.evm.revm.accounts import Accounts, ethereum_address
from runtimes.evm.revm.precompiles import run_precompile
from store.cid import RAW

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
"""The call manager's prices between contracts: the machine's own work is free in Ethereum gas."""


class EthereumCallRules:
    """The `hypervisor.machine.call_manager.CallRules` of one transaction.

    While a native actor runs, accesses to actors are charged (`CallManager.charges_access`).
    """

    def __init__(self, fork: Fork, accounts: Accounts, network_prices: PriceList) -> None:
        self.lent_code: LentCode | None = None  # accounts with code are contracts here
        self._fork = fork
        self._precompiles = fork.precompiles
        self._accounts = accounts
        self._network_prices = network_prices

    def resolve(self, calls: CallManager, call: Call) -> ActorID | CallResult:
        """Return the actor at an address, creating it for value or a creation; or the result of a precompile."""
        address, accounts = ethereum_address(call.to), self._accounts
        if address is None:
            return FILECOIN_CALLS.resolve(calls, call)
        name = self._precompiles.get(address)
        if name is not None:
            return self._precompile(calls, call, address, name)
        accounts.touch(address)
        actor = accounts.find(address)
        if actor is None:
            if call.value == 0:
                return CallResult(ExitCode.OK)  # no account is created without value (EIP-161)
            actor = accounts.create_account(address)
        return actor

    def invoke(self, calls: CallManager, call: Call, actor: ActorID, state: ActorState) -> CallResult:
        """Run code in its gas unit; an account without code succeeds."""
        code, accounts, is_native = state.code, self._accounts, calls.charges_access
        if code in accounts.account_codes and call.method == INVOKE_EVM:
            return CallResult(ExitCode.OK)
        is_contract = code == accounts.evm_code
        constructs = is_contract and call.method == METHOD_CONSTRUCTOR
        if constructs and call.from_ != INIT_ACTOR:
            # as on the network: otherwise a caller could run its own code in the contract's context
            return CallResult(ExitCode.USR_FORBIDDEN, message="a contract can only be constructed by its creation")
        if is_contract and is_native:
            with self._in_ethereum_gas(calls):
                return calls.invoke(call, actor, state)
        if is_contract or is_native:
            return calls.invoke(call, actor, state)
        try:
            with self.in_milligas(calls, calls.gas.available):
                return calls.invoke(call, actor, state)
        except OutOfGas as error:
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=str(error))
        except ActorExit as error:
            return CallResult(error.code, message=error.message)

    # --- precompiles ------------------------------------------------------------------------------------------

    def _precompile(self, calls: CallManager, call: Call, address: EthAddress, name: str) -> CallResult:
        """Transfer the value and run the function; a failure consumes all gas of the call."""
        touches = call.method != INVOKE_CONTRACT_DELEGATE  # CALLCODE and DELEGATECALL only execute its code
        if touches and (not self._fork.clears_empty or self._accounts.find(address) is not None):
            self._accounts.touch(address)
        if call.value:
            actor = self._accounts.find(address)
            calls.transfer(call.from_, self._accounts.create_account(address) if actor is None else actor, call.value)
        if calls.charges_access:
            with self._in_ethereum_gas(calls):
                return self._run_precompile(calls, call, name)
        return self._run_precompile(calls, call, name)

    def _run_precompile(self, calls: CallManager, call: Call, name: str) -> CallResult:
        if calls.machine.short is not None:
            raise LongExecution(f"the precompile {name} may run for long")
        data = call.params.data if call.params else b""
        try:
            output = run_precompile(self._fork, name, data, calls.gas)
        except (PrecompileFailure, OutOfGas) as error:
            self.exhaust(calls)
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=f"{name}: {error}")
        return CallResult(ExitCode.OK, Block(RAW, output))

    def exhaust(self, calls: CallManager) -> None:
        """Consume all gas of the current gas frame."""
        calls.gas.charge("OnFailure", calls.gas.available)

    # --- conversion of gas ------------------------------------------------------------------------------------

    @contextmanager
    def in_milligas(self, calls: CallManager, given: int) -> Iterator[None]:
        """Run the body with `given` gas on the network's tracker and at its prices; gas used is rounded up.

        A fatal error of an actor is an exit that uses all of the gas, as a halting contract does. Raises ActorExit.
        """
        gas = GasTracker(min(given * DEFAULT_RATE, MAX_MILLIGAS), tracer=calls.tracer)
        try:
            with _counting(calls, gas, self._network_prices, is_native=True):
                yield
        except ActorFatal as error:
            gas.charge("OnFailure", gas.available)
            raise ActorExit(ExitCode.SYS_ASSERTION_FAILED, message=str(error)) from error
        finally:
            calls.gas.charge("OnNativeCall", min(given, -(-gas.used // DEFAULT_RATE)))

    @contextmanager
    def _in_ethereum_gas(self, calls: CallManager) -> Iterator[None]:
        """Run the body, called by a native actor, with all remaining gas in whole Ethereum gas."""
        gas = GasTracker(calls.gas.available // DEFAULT_RATE, tracer=calls.tracer, per_gas=1)
        try:
            with _counting(calls, gas, FREE, is_native=False):
                yield
        finally:
            calls.gas.charge("OnContractCall", gas.used * DEFAULT_RATE)


@contextmanager
def _counting(calls: CallManager, gas: GasTracker, prices: PriceList, is_native: bool) -> Iterator[None]:
    outer = calls.gas, calls.charges_access, calls.prices
    calls.gas, calls.charges_access, calls.prices = gas, is_native, prices
    try:
        yield
    finally:
        calls.gas, calls.charges_access, calls.prices = outer


def overflow_payment(value: int, to: EthAddress, bits: int = 256) -> str:
    """Return the error for a value whose receiver would exceed its maximum balance."""
    return f"overflow payment: {value:d} wei would exceed the maximum balance of 0x{to.hex()}, 2^{bits} - 1 wei"


_MAX_NATIVE_BALANCE: Final = (1 << 128) - 1
MAX_FRAMES: Final = 1025
"""Maximum number of nested frames: a transaction's first frame and 1,024 below it."""

_TOP_LEVEL: Final = {
    ErrorNumber.INSUFFICIENT_FUNDS: ExitCode.SYS_INSUFFICIENT_FUNDS,
    ErrorNumber.NOT_FOUND: ExitCode.SYS_INVALID_RECEIVER,
}

_NONE: Final[Mapping[EthAddress, str]] = MappingProxyType({})


@dataclass(slots=True, unsafe_hash=True)
class TransactionEnvironment:
    """Constants of a transaction: the rules, the block, and the values that opcodes read."""

    fork: Final[Fork]
    block: Final[EthereumBlock]
    context: Final[TxContext]
    origin: Final[EthAddress]
    blob_hashes: Final[tuple[bytes, ...]]
    blob_base_fee: Final[int]


class EthereumCalls(CallManager):
    """The state of one transaction."""

    def __init__(
        self,
        machine: MachineState,
        gas: GasTracker,
        origin: ActorID,
        origin_address: Address,
        nonce: int,
        environment: TransactionEnvironment,
        accounts: Accounts | None = None,
    ) -> None:
        """`accounts` are those of the message, if they are in use already."""
        filecoin_addresses, fork = environment.block.filecoin_addresses, environment.fork
        self.accounts = accounts or Accounts(machine, Journal(), filecoin_addresses, None, fork.clears_empty)
        self.ethereum_rules = rules = EthereumCallRules(environment.fork, self.accounts, machine.context.network.prices)
        super().__init__(machine, rules, gas, MessageOrigin(origin, origin_address, nonce), None, self.accounts.journal)
        self.backtrace.text_of = ethereum_text
        if fork.transfer_logs:
            self.accounts.set_address(SYSTEM_ACTOR, SYSTEM_ADDRESS)
        self.prices = FREE
        self.charges_access = False
        self.max_depth = MAX_FRAMES
        self.environment = environment
        self.filecoin_precompiles = _NONE
        if filecoin_addresses:
            self.filecoin_precompiles = filecoin_precompiles(machine.context.network.evm)

    # --- calls ------------------------------------------------------------------------------------------------

    def send_first(self, call: Call) -> CallResult:
        """Make a message's first call; return its errors as exit codes."""
        try:
            return self.send(call)
        except OutOfGas as error:
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=str(error))
        except SyscallError as error:
            return CallResult(_TOP_LEVEL.get(error.number, ExitCode.SYS_ASSERTION_FAILED), message=error.message)

    def transfer(self, from_: ActorID, to: ActorID, value: TokenAmount) -> None:
        """Transfer a value. Raises OutOfGas, with no gas left to the call, if the receiver would exceed its maximum.

        This is `OverflowPayment` of revm; the execution specifications do not define the case. Syscalls report a native
        actor's amounts in 128 bits.
        """
        total = self.accounts.balance(to) + value
        bits = 256 if total <= _MAX_NATIVE_BALANCE or self.accounts.is_ethereum(to) else 128
        if from_ != to and total >> bits:
            reason = overflow_payment(value, self.accounts.address_of(to), bits)
            self.backtrace.set_cause(reason)
            self.exhaust()
            raise OutOfGas(reason)
        super().transfer(from_, to, value)
        if from_ != to and self.environment.fork.transfer_logs:
            self.log_transfer(from_, to, value)

    def exhaust(self) -> None:
        """Consume all gas of the current gas frame."""
        self.ethereum_rules.exhaust(self)

    def renew_block(self) -> None:
        """Update the values that opcodes read from the machine's context."""
        now, block = self.machine.context, self.environment.block
        if isinstance(now.block, EthereumBlock):
            block = now.block
        context = replace(
            self.environment.context,
            coinbase=block.coinbase,
            number=now.epoch,
            timestamp=now.timestamp,
            gas_limit=block.gas_limit,
            chain_id=now.chain_id,
            base_fee=now.base_fee,
        )
        self.environment = replace(self.environment, block=block, context=context)

    # --- rollback ---------------------------------------------------------------------------------------------

    @contextmanager
    def atomically(self) -> Iterator[None]:
        """Keep the effects of the body, or roll them back if it raises."""
        mark = self.begin()
        try:
            yield
        except BaseException:
            self.rollback(mark)
            raise
        self.tree.commit()

    # --- logs -------------------------------------------------------------------------------------------------

    def log_transfer(self, from_: ActorID, to: ActorID, value: int) -> None:
        """Emit the log of a transfer (EIP-7708)."""
        ends = (bytes(12) + self.accounts.address_of(actor) for actor in (from_, to))
        self.log(SYSTEM_ACTOR, Log((TRANSFER_EVENT, *ends), value.to_bytes(32, "big")))

    def log(self, emitter: ActorID, log: Log) -> None:
        """Emit a contract's log of any size as an event."""
        self.emit([StampedEvent(emitter, tuple(log_to_entries(log)))])

    def emit(self, events: Iterable[StampedEvent]) -> None:
        for event in events:
            self.events.append(event)
            if self.tracer is not None:
                listed = tuple((entry.flags, entry.key, entry.codec, entry.value) for entry in event.entries)
                self.tracer.event(EventEmitted(event.emitter, listed))


@lru_cache
def filecoin_precompiles(features: frozenset[str]) -> Mapping[EthAddress, str]:
    """Return Filecoin's own precompiles by address for a set of features (`NetworkVersion.evm`)."""
    precompiles = filecoin_evm_rules(replace(LATEST, evm=features)).precompiles
    return MappingProxyType({address: name for address, name in precompiles.items() if name in FILECOIN})
