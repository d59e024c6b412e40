"""Calls of contracts without value, checks and fees in quick succession, as a test runner makes them.

Each call is a message of its own, as with `Application.apply_implicit`, but the objects of a message are created once per
block and cleared between calls. Only call trees without tracer and interception are run here (`first_call`).
"""

from functools import partial
from typing import Final, NamedTuple

from bridge.addresses import EthAddress
from bridge.method_numbers import INVOKE_EVM
from bridge.params import unwrap_return
from bridge.transactions import DYNAMIC_FEE, Transaction
from hypervisor.blocks import Block
from hypervisor.call import Call, CallResult
from hypervisor.context import MachineContext
from hypervisor.events import StampedEvent
from hypervisor.exit_codes import ExitCode
from hypervisor.machine import Hypervisor
from hypervisor.types import TokenAmount
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.application import Application
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.first_call import run_tree
from runtimes.evm.ethereum.validation import required_gas
from store.cid import CBOR, RAW

_ZERO: Final = TokenAmount(0)
_NOBODY: Final = EthAddress(bytes(20))


class _Unavailable(Exception):  # not an error: the call runs as usual
    """The call cannot run as one tree."""


class ContractCallResult(NamedTuple):
    """Result of a call. `gas_used` is without the intrinsic gas, after refunds; `message` describes a failure."""

    success: bool
    output: bytes
    gas_used: int
    events: tuple[StampedEvent, ...]
    message: str


class ContractCalls:
    """Calls on one machine, whose accounts are `accounts`; these are cleared before each call."""

    def __init__(self, machine: Hypervisor, accounts: Accounts) -> None:
        self.accounts = accounts
        self._machine = machine
        self._context: MachineContext | None = None
        self._calls: EthereumCalls | None = None
        self._warm: tuple[EthAddress, ...] = ()

    def call(
        self, sender: EthAddress, to: EthAddress, data: bytes, limit: int, kept: bool = True
    ) -> ContractCallResult | None:
        """Call a contract; return None, without effect, if the call cannot run here. An unknown sender is created.

        The gas limit includes the intrinsic gas. Unless the result is `kept`, changes are written only partly, and the caller must roll them back.
        """
        machine = self._machine
        if machine.tracer is not None:
            return None
        if machine.context is not self._context:
            self._prepare(machine.context)
        calls, accounts = self._calls, self.accounts
        if calls is None or (calls.frames is not None and calls.frames.is_armed):
            return None
        accounts.begin_message()
        fork = calls.environment.fork
        message = Transaction(DYNAMIC_FEE, None, 0, to, 0, data, limit, 0, 0)
        intrinsic, floor = required_gas(message, fork, sender)
        self._begin(calls, sender, to, max(0, limit - intrinsic))
        mark = calls.tree.begin()
        try:
            actor = accounts.find(sender)
            if actor is None:
                actor = accounts.create_account(sender)
            call = Call(actor, accounts.filecoin_address(to), INVOKE_EVM, Block(RAW, data) if data else None, _ZERO)
            result = self._send(calls, call)
            used = calls.gas.used + intrinsic
            used -= min(used // fork.refund_quotient, accounts.refund)
            if kept:
                accounts.write_back()
        except BaseException as error:
            calls.tree.rollback(mark)
            if isinstance(error, _Unavailable):
                return None
            raise
        calls.tree.commit()
        return _result(calls, result, max(used, floor) - intrinsic)

    def _prepare(self, context: MachineContext) -> None:
        """Create the objects of messages in a block; none for forks with charges before the first call."""
        self._context, self._calls = context, None
        message = Transaction(DYNAMIC_FEE, None, 0, _NOBODY, 0, b"", 0, 0, 0)
        calls = Application(self._machine, message, _NOBODY, paid=False, accounts=self.accounts).calls
        fork, block = calls.environment.fork, calls.environment.block
        if fork.resource_gas or calls.state_gas is not None:
            return
        self._calls = calls
        coinbase = (block.coinbase,) if fork.warm_coinbase else ()
        self._warm = (*fork.precompiles, *calls.filecoin_precompiles, *coinbase)

    def _begin(self, calls: EthereumCalls, sender: EthAddress, to: EthAddress, gas: int) -> None:
        calls.begin_message(gas)
        accounts = self.accounts
        accounts.warm_known(self._warm)
        accounts.warm(sender)
        accounts.warm(to)
        if calls.environment.fork.delegations:
            delegate = accounts.delegate_of(accounts.find(to))
            if delegate is not None:
                accounts.warm(delegate)

    def _send(self, calls: EthereumCalls, call: Call) -> CallResult:
        if calls.interceptor is None:
            return _as_tree(calls, call)
        return calls.interceptor.send(calls, call, partial(_as_tree, calls))


def _as_tree(calls: EthereumCalls, call: Call) -> CallResult:
    result = run_tree(calls, call)
    if result is None:
        raise _Unavailable
    return result


def _result(calls: EthereumCalls, result: CallResult, used: int) -> ContractCallResult:
    block = result.block
    output = b"" if block is None else unwrap_return(block.data) if block.codec == CBOR else block.data
    success = result.exit_code == ExitCode.OK
    message = "" if success else result.message or f"exit code {result.exit_code}"
    return ContractCallResult(success, output, used, tuple(calls.events), message)
