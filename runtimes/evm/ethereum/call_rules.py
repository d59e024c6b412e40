"""Ethereum's call rules: resolution of addresses, execution of accounts' code, and conversion between two gas units.

A precompile runs immediately, an account without code only receives value, and a contract is dispatched to its runtime,
in Ethereum gas and without machine prices. A native actor runs with a separate tracker in the network's milligas: the
gas it is given times the exchange rate. Its caller pays what it used, rounded up. A contract that it calls uses
Ethereum gas again, converted in the same way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.parameters import INVOKE_EVM
from bridge.gas import DEFAULT_RATE
from hypervisor.errors import LongExecution, OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MAX_MILLIGAS, GasTracker
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult, LentCode
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.call_rules import FILECOIN_CALLS
from hypervisor.prices import Price, PriceList
from hypervisor.state.state_tree import ActorState
from hypervisor.types import INIT_ACTOR, METHOD_CONSTRUCTOR, ActorID
from hypervisor.versions.network_versions import LATEST
from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.ethereum.accounts import Accounts, ethereum_address
from runtimes.evm.ethereum.forks import Fork
from runtimes.evm.ethereum.precompiles import run_precompile
from runtimes.evm.precompiles.failure import PrecompileFailure
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
        self.creation: Call | None = None
        """The call that creates a contract. Apart from it, only the init actor may construct one."""
        self.exhausted = 0
        """Gas that was left when the last frame failed without reverting; zero for a precompile."""

    def set_fork(self, fork: Fork) -> None:
        """Switch to another fork's rules."""
        self._fork, self._precompiles = fork, fork.precompiles

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
        if call is self.creation:
            actor = accounts.create_account(address) if actor is None else actor
            accounts.create(actor)
        elif actor is None:
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
        if constructs and call is not self.creation and call.from_ != INIT_ACTOR:
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
            self.exhausted = 0
            return CallResult(ExitCode.SYS_OUT_OF_GAS, message=f"{name}: {error}")
        return CallResult(ExitCode.OK, Block(RAW, output))

    def exhaust(self, calls: CallManager) -> None:
        """Consume all gas of the current gas frame."""
        self.exhausted = calls.gas.available
        calls.gas.charge("OnFailure", self.exhausted)

    # --- conversion of gas ------------------------------------------------------------------------------------

    @contextmanager
    def in_milligas(self, calls: CallManager, given: int) -> Iterator[None]:
        """Run the body with `given` gas on the network's tracker and at its prices; gas used is rounded up."""
        gas = GasTracker(min(given * DEFAULT_RATE, MAX_MILLIGAS), tracer=calls.tracer)
        try:
            with _counting(calls, gas, self._network_prices, is_native=True):
                yield
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
