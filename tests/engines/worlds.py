"""Machines on one engine, and pyrevm.

- Machines on one engine that execute a batch's transactions and report the effects.
- pyrevm (revm 8 of 2024) as a comparison: Cancun, one call of a contract on fresh state.

It charges no fees and leaves the sender's nonce unchanged, so these are not compared. Creations by transaction are
omitted.
"""

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import ACCESS_LIST, LEGACY, SET_CODE, Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import unwrap_return
from hypervisor.context import MachineContext
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import call as vm
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.types import FIRST_DYNAMIC_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from hypervisor.versions.network_versions import network_version
from hypervisor_tools.laboratory.vectors.statetest import FixtureExterns
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.contracts.engine import Status
from runtimes.evm.contracts.rules import filecoin_evm_rules
from runtimes.evm.forks.validation import InvalidTransaction
from runtimes.evm.regions.compiler import region_compiler
from runtimes.evm.revm import EthereumExecutor
from runtimes.evm.revm.guest import PAUSE
from runtimes.evm.revm.session import StateSession, session_of
from store.cid import cid_of
from store.keccak import keccak
from tests.differential.grammar import SENDER
from tests.engines.scenes import COINBASE, ETHEREUM, Batch, Call
from tests.hypervisor.world import IgnoringTracer

EPOCH: Final = ChainEpoch(1000)
TIMESTAMP: Final = 1_700_000_123
RANDOM: Final = bytes(range(32))
FEES: Final = {"Cancun": (0, 0)}
"""Base fee and gas price by rules: zero for comparisons with pyrevm, which charges no fees."""
_USUAL_FEES: Final = (7, 10)
BLOCK_GAS: Final = 10**9


_HALTS: Final = frozenset({
    ExitCode.SYS_OUT_OF_GAS, Status.STACK_UNDERFLOW, Status.STACK_OVERFLOW, Status.ILLEGAL_MEMORY_ACCESS,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Effects of a transaction: `state` holds every actor after it, `logs` any comparable form of its logs."""

    exit_code: int
    gas_used: int
    output: bytes
    logs: tuple[Any, ...]
    state: tuple[Any, ...]

    def differences(self, other: "Outcome", any_halt: bool = False) -> list[str]:
        """Return the fields that differ, with both values.

        `any_halt` is True if one of them is revm's, which may find another one of several reasons for a halt first.
        """
        halted = any_halt and {self.exit_code, other.exit_code} <= _HALTS
        return [
            f"{name} {_shown(getattr(self, name))} and {_shown(getattr(other, name))}"
            for name in ("exit_code", "gas_used", "output", "logs", "state")
            if getattr(self, name) != getattr(other, name) and not (halted and name == "exit_code")
        ]


def _shown(value: Any) -> str:
    return f"{value.hex() if isinstance(value, bytes) else value!s:.80}"


class _Interceptor:
    """An interceptor that changes nothing."""

    def send(self, calls: CallManager, call: vm.Call, proceed: Callable[[vm.Call], vm.CallResult]) -> vm.CallResult:
        """Let the call proceed."""
        return proceed(call)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Ignore it."""


class EngineMachine(Protocol):
    def begin(self, batch: Batch) -> None:
        """Start from a batch's accounts."""

    def attempt(self, call: Call, gas_limit: int) -> Outcome:
        """Return the effects that a transaction would have."""


def machine_for(engine: str, rules: str) -> EngineMachine:
    """Return a machine whose contracts run on an engine, under Ethereum's rules or those of a network version."""
    return EthereumMachine(engine, rules) if rules in ETHEREUM else FilecoinMachine(engine, rules)


class EthereumMachine:
    """Ethereum's rules: transactions with fees."""

    def __init__(self, engine: str, rules: str) -> None:
        base_fee, self._price = FEES.get(rules, _USUAL_FEES)
        self._blocks = {
            filecoin: EthereumBlock(rules, COINBASE, BLOCK_GAS, filecoin_addresses=filecoin)
            for filecoin in (False, True)
        }
        context = MachineContext(
            epoch=EPOCH,
            timestamp=TIMESTAMP,
            base_fee=TokenAmount(base_fee),
            chain_id=1,
            rules="ethereum",
            block=self._blocks[False],
        )
        self.machine = Hypervisor.open(evm=engine)
        self.machine.context = context
        self.machine.externs = FixtureExterns(RANDOM)
        self._empty = self.machine.snapshot()

    def begin(self, batch: Batch) -> None:
        self.machine.restore(self._empty)
        self.machine.context = replace(self.machine.context, block=self._blocks[batch.filecoin])
        install_alloc(self.machine, batch.accounts)
        self.machine.state_tree.flush()
        actors(self.machine)  # read once, not in every attempt
        self.machine.tracer = IgnoringTracer() if batch.framed else None
        self.machine.interceptor = _Interceptor() if batch.intercepted else None
        if batch.compiled:
            compile_codes(session_of(self.machine), [account.code for account in batch.accounts.values()])

    def attempt(self, call: Call, gas_limit: int) -> Outcome:
        """Return the effects that a transaction would have; an invalid one has the outcome -1."""
        transaction = self.transaction(call, gas_limit)
        with self.machine.trial():
            try:
                result = EthereumExecutor(self.machine).apply_transaction(transaction, SENDER)
            except InvalidTransaction:
                return Outcome(-1, 0, b"", (), ())
            state = actors(self.machine)
            return Outcome(result.exit_code, result.gas_used, result.output, result.logs, state)

    def after(self, call: Call, gas_limit: int) -> dict[EthAddress, AllocAccount]:
        """Return every account after a transaction."""
        before = self.machine.snapshot()
        try:
            EthereumExecutor(self.machine).apply_transaction(self.transaction(call, gas_limit), SENDER)
            return dict(read_alloc(self.machine))
        finally:
            self.machine.restore(before)

    def transaction(self, call: Call, gas_limit: int) -> Transaction:
        """Return the sender's first transaction with a call."""
        kind, price = SET_CODE if call.authorizations else ACCESS_LIST if call.listed else LEGACY, self._price
        return Transaction(
            kind,
            None,
            0,
            call.to,
            call.value,
            call.data,
            gas_limit,
            price,
            price,
            access_list=call.listed,
            authorizations=call.authorizations,
        )


def compile_codes(session: StateSession, codes: Iterable[bytes]) -> None:
    """Compile codes, and give their regions to the session's guest, as if an execution had paused in each."""
    guest, compiler = session.begin(), region_compiler()
    for code in codes:
        compiler.compile_all(compiler.regions(code, session.fork), code, session.fork)
        guest.compile(PAUSE.pack(1, 0, keccak(code), len(code)) + code, session.fork)


class FilecoinMachine:
    """Filecoin's rules: messages of an account with an Ethereum address."""

    def __init__(self, engine: str, rules: str) -> None:
        context = MachineContext(network_version(int(rules[2:])), EPOCH, TIMESTAMP)
        self._rules = filecoin_evm_rules(context.network)
        self.machine = Hypervisor.open(evm=engine, context=context)
        self._empty = self.machine.snapshot()

    def begin(self, batch: Batch) -> None:
        self.machine.restore(self._empty)
        install_alloc(self.machine, batch.accounts)
        if not self._rules.transient_storage:
            self._use_older_form()
        self.machine.state_tree.flush()
        actors(self.machine)  # read once, not in every attempt

    def _use_older_form(self) -> None:
        """Convert contract states to the form of this version's actor."""
        machine, tree = self.machine, self.machine.state_tree
        tree.flush()
        for number, actor in [*tree.actors()]:
            if actor.code == machine.manifest.code("evm"):
                data = EvmState.decode(machine.store.get(actor.head)).encode(transient_field=False)
                machine.store.put(cid_of(data), data)
                tree.set_actor(number, replace(actor, head=cid_of(data)))

    def attempt(self, call: Call, gas_limit: int) -> Outcome:
        """Return the effects that a message would have."""
        assert call.to is not None
        params = byte_string(call.data) if call.data else b""
        message = Message(
            to=to_filecoin(call.to),
            from_=to_filecoin(SENDER),
            value=TokenAmount(call.value),
            method=INVOKE_EVM,
            params=params,
            gas_limit=Gas(gas_limit),
        )
        with self.machine.trial():
            result = self.machine.apply(message)
            if result.fatal is not None:
                raise result.fatal
            state = actors(self.machine)
        return Outcome(int(result.exit_code), result.gas_used, result.return_data, result.events, state)


def actors(machine: Hypervisor) -> tuple[Any, ...]:
    """Return every actor that a batch or a transaction may have created or paid."""
    tree = machine.state_tree
    return tuple(tree.get_actor(ActorID(actor)) for actor in range(FIRST_DYNAMIC_ACTOR - 1, tree.init_state().next_id))


def output_of(outcome: Outcome) -> bytes:
    """Return a contract's return data, unwrapped from CBOR."""
    return unwrap_return(outcome.output)


RULES: Final = "Cancun"
_SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "revm"


@cache
def pyrevm() -> ModuleType | None:
    """Return the module, installed if necessary, or None if it does not support this Python version."""
    done = subprocess.run([_SCRIPT, sys.executable], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return None
    sys.path.append(done.stdout.strip())
    return import_module("pyrevm")


class Revm:
    """A batch's accounts, restored for every call."""

    def __init__(self, module: Any, accounts: Mapping[EthAddress, AllocAccount]) -> None:
        self._module = module
        self._accounts = [
            (_hex(address), module.AccountInfo(account.balance, account.nonce, None, account.code), account.storage)
            for address, account in accounts.items()
        ]

    def differences(self, call: Call, gas_limit: int, ours: Outcome) -> list[str]:
        _, success, output, gas_used, logs = self._call(call, gas_limit)
        mine = (ours.exit_code == 0, output_of(ours), ours.gas_used, [_log(*log) for log in ours.logs])
        theirs = (success, output, gas_used, logs)
        names = ("success", "output", "gas used", "logs")
        return [
            f"{name} {one!s:.80} and, of revm, {other!s:.80}"
            for name, one, other in zip(names, mine, theirs, strict=True)
            if one != other
        ]

    def other_accounts(self, call: Call, gas_limit: int, ours: Mapping[EthAddress, AllocAccount]) -> list[str]:
        """Return the accounts that differ from this project's after a call: balance, nonce, slots."""
        evm = self._call(call, gas_limit)[0]
        found = []
        for address, account in ours.items():
            if address in (SENDER, COINBASE):
                continue
            place = _hex(address)
            info = evm.basic(place)
            slots = {slot: evm.storage(place, slot) for slot in account.storage}
            if (account.balance, account.nonce, dict(account.storage)) != (info.balance, info.nonce, slots):
                found.append(f"{place}: {account!s:.300} and, of revm, {info.balance} {info.nonce} {slots}")
        return found

    def _call(self, call: Call, gas_limit: int) -> tuple[Any, bool, bytes, int, list[Any]]:
        evm = self.fresh(call)
        try:
            output = self.run(evm, call, gas_limit)
        except RuntimeError as error:
            output = _reverted(str(error))
        result = evm.result
        logs = [
            (log.address.lower(), [topic.lower() for topic in log.topics], bytes(log.data[1])) for log in result.logs
        ]
        return evm, result.is_success, bytes(output), result.gas_used, logs

    @staticmethod
    def run(evm: Any, call: Call, gas_limit: int) -> bytes:
        """Run a call, or a creation if `to` is None. Raises RuntimeError if it fails."""
        sender = _hex(SENDER)
        if call.to is None:
            evm.deploy(sender, call.data, gas=gas_limit)
            return b""
        output: bytes = evm.message_call(sender, _hex(call.to), calldata=call.data, value=call.value, gas=gas_limit)
        return output

    def fresh(self, call: Call) -> Any:
        module = self._module
        block = module.BlockEnv(EPOCH, _hex(COINBASE), TIMESTAMP, 0, RANDOM, 0, BLOCK_GAS, 0)
        listed = [(_hex(address), list(slots)) for address, slots in call.listed]
        environment = module.Env(module.CfgEnv(chain_id=1), block, module.TxEnv(access_list=listed))
        evm = module.EVM(env=environment, gas_limit=BLOCK_GAS, spec_id="CANCUN")
        for place, info, slots in self._accounts:
            evm.insert_account_info(place, info)
            for slot, word in slots.items():
                evm.insert_account_storage(place, slot, word)
        return evm


def _hex(address: EthAddress) -> str:
    return f"0x{address.hex()}"


def _log(address: EthAddress, log: Any) -> tuple[str, list[str], bytes]:
    return _hex(address), [f"0x{topic.hex()}" for topic in log.topics], log.data


def _reverted(words: str) -> bytes:
    """Return the output in pyrevm's error text `Revert { gas_used: 1, output: 0x... }`; None for a halt."""
    _, found, output = words.partition("output: 0x")
    return bytes.fromhex(output.split(" ")[0].rstrip("})")) if found else b""
