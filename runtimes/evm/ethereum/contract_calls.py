"""Fast path of the test runner for contract calls without value, validation or fees.

Each call is a message of its own, as with `Application.apply_implicit`, but a message's objects are created once per
block and cleared between calls. Only call trees without tracer and interception run here (`runtimes.evm.tree_engine`).
"""

from functools import partial
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.parameters import INVOKE_EVM, unwrap_return
from bridge.gas import CHARGE_NAME
from hypervisor.context import MachineContext
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.machine_state import MachineState
from hypervisor.messages.events import StampedEvent
from hypervisor.types import ActorID, TokenAmount
from runtimes.evm.engine import Frame
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.actor import code_of
from runtimes.evm.ethereum.application import Application
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.subcalls import return_block
from runtimes.evm.ethereum.tree_host import EthereumTreeHost
from runtimes.evm.ethereum.validation import call_gas
from runtimes.evm.tree_engine import TreeEngine, TreeRuntime, offers_trees
from store.cid import CBOR, RAW

_ZERO: Final = TokenAmount(0)
_NOBODY: Final = EthAddress(bytes(20))


class _Unavailable(Exception):  # not an error: the call runs as usual
    """Raised if the call cannot run as one tree."""


class ContractCallResult(NamedTuple):
    """Result of a call. `gas_used` is without the intrinsic gas, after refunds; `message` describes a failure.

    `execution_gas` is the gas before refunds, and without the minimum for the calldata (EIP-7623).
    """

    success: bool
    output: bytes
    gas_used: int
    events: tuple[StampedEvent, ...]
    message: str
    execution_gas: int


class ContractCalls:
    """Calls on one machine. `accounts` are those of the latest call; they are cleared before each one."""

    def __init__(self, machine: MachineState, accounts: Accounts) -> None:
        self.accounts = accounts
        self._machine = machine
        self._context: MachineContext | None = None
        self._message: _Message | None = None

    def call(
        self, sender: EthAddress, to: EthAddress, data: bytes, limit: int, commit: bool = True
    ) -> ContractCallResult | None:
        """Call a contract; return None if the call cannot run here. An unknown sender is created in both cases.

        The gas limit includes the intrinsic gas. Unless `commit`, changes are written only partly, and the caller must
        roll them back; `accounts` then lack the slots that the call touched.
        """
        machine = self._machine
        if machine.tracer is not None:
            return None
        if machine.context is not self._context:
            self._context, self._message = machine.context, _message(machine, self.accounts)
        message = self._message
        if message is None or (message.calls.frames is not None and message.calls.frames.is_armed):
            return None
        intrinsic, floor = call_gas(data, message.calls.environment.fork)
        message.begin(sender, to, max(0, limit - intrinsic), commit)
        result = message.call(sender, to, data, commit)
        if result is None:
            return None
        calls = message.calls
        used = calls.gas.used + intrinsic
        used -= min(used // calls.environment.fork.refund_quotient, self.accounts.refund)
        block, success = result.block, result.exit_code == ExitCode.OK
        output = b"" if block is None else unwrap_return(block.data) if block.codec == CBOR else block.data
        text = "" if success else result.message or f"exit code {result.exit_code}"
        gas_used, execution_gas = max(used, floor) - intrinsic, calls.gas.used
        return ContractCallResult(success, output, gas_used, tuple(calls.events), text, execution_gas)


class _Message:
    """The objects of a message in a block, and the addresses that are warm at its start."""

    def __init__(self, calls: EthereumCalls, runtime: TreeRuntime, engine: TreeEngine) -> None:
        self.calls = calls
        self._runtime, self._engine = runtime, engine
        fork, block = calls.environment.fork, calls.environment.block
        coinbase = (block.coinbase,) if fork.warm_coinbase else ()
        self._warm = (*fork.precompiles, *calls.filecoin_precompiles, *coinbase)

    def begin(self, sender: EthAddress, to: EthAddress, gas: int, commit: bool) -> None:
        """Clear what an earlier message has left."""
        accounts = self.calls.accounts
        self.calls.begin_message(gas)
        self.calls.keeps_changes = commit
        accounts.begin_message(self._warm)
        accounts.warm(sender)
        accounts.warm(to)

    def call(self, sender: EthAddress, to: EthAddress, data: bytes, commit: bool) -> CallResult | None:
        """Run the call, and write its changes if `commit`; return None if it cannot run."""
        calls, accounts, tree = self.calls, self.calls.accounts, self.calls.tree
        actor, origin = accounts.find(to), accounts.find(sender)
        if actor is None or to in calls.environment.fork.precompiles or tree.existing(actor).code != accounts.evm_code:
            return None
        if origin is None:
            origin = accounts.create_account(sender)
        if calls.environment.fork.delegations:
            delegate = accounts.delegate_of(actor)
            if delegate is not None:
                accounts.warm(delegate)
        call = Call(origin, accounts.filecoin_address(to), INVOKE_EVM, Block(RAW, data) if data else None, _ZERO)
        frame = partial(self._run, actor, sender, to, data)
        mark = calls.begin()
        try:
            result = frame(call) if calls.interceptor is None else calls.interceptor.send(calls, call, frame)
        except BaseException as error:
            calls.rollback(mark)
            if isinstance(error, _Unavailable):
                return None
            raise
        if result.exit_code == ExitCode.OK:
            tree.commit()
        else:
            calls.rollback(mark)
        if commit:
            accounts.write_back()
        return result

    def _run(self, actor: ActorID, sender: EthAddress, to: EthAddress, data: bytes, _: Call) -> CallResult:
        calls = self.calls
        fork, found = calls.environment.fork, calls.accounts.view(actor)
        if found is None:
            raise _Unavailable
        code = code_of(calls, self._runtime.codes, found.code)
        calls.depth = 1
        try:
            host = EthereumTreeHost(calls, actor, to)
            ended = self._engine.run_tree(
                Frame(fork, code, data, sender, to, 0, False), host, calls.gas.available, found
            )
        finally:
            calls.depth = 0
        if ended is None:
            raise _Unavailable
        outcome, gas = ended
        calls.gas.charge(CHARGE_NAME, gas)
        return CallResult(outcome.status, return_block(outcome.data))


def _message(machine: MachineState, accounts: Accounts) -> _Message | None:
    """Create the objects of messages in the machine's block; None if they cannot run here.

    Forks with charges between a message's start and its first call are excluded, and engines without trees.
    """
    message = Transaction(DYNAMIC_FEE, None, 0, _NOBODY, 0, b"", 0, 0, 0)
    calls = Application(machine, message, _NOBODY, paid=False, accounts=accounts).calls
    fork, runtime = calls.environment.fork, machine.registry.runtime_for(accounts.evm_code)[1]
    if fork.resource_gas or calls.state_gas is not None or not offers_trees(runtime):
        return None
    engine = runtime.tree_engine(fork)
    return None if engine is None else _Message(calls, runtime, engine)
