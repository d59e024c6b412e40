"""The EVM runtime: a warm call of a Solidity contract by parts; a frame, a loop and transactions compared with py-evm.

py-evm's own call is its `apply_message` on its state in memory: without a message around it and without writing actors.
So the ratio of the frame shows the cost of dispatch by code CID, the actor's state and the bridge together.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.message import Message as EthMessage
from eth_typing import Address as EthAddressBytes
from eth_typing import BlockNumber, Hash32

from bench.py_evm_alone import STATE_TESTS, call_heavy, sampled
from bench.rows import Row, seconds
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from bridge.gas import GasBudget
from hypervisor import Address, Genesis, Hypervisor, Message
from hypervisor.gas import GasTracker
from hypervisor.types import EAM_ACTOR, METHOD_SEND, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import LATEST
from hypervisor_tools.cli.demo.scenario import contract
from runtimes.evm.code import Code
from runtimes.evm.engine import Frame
from runtimes.evm.py_evm import PyEvmEngine, PyEvmTable
from runtimes.evm.rules import filecoin_evm_rules

CALLS = 300
LOOP_ROUNDS = 20_000
STATE_TEST_STEP = 10
LOOP = bytes.fromhex("614e20") + bytes.fromhex("5b60019003806003600702506100035700")
"""Loop 20,000 times: subtract, multiply, drop, jump back."""

SENDER = Address.delegated(10, bytes(19) + b"\x01")
PEER_CALLER, PEER_CONTRACT = EthAddressBytes(b"\x01" * 20), EthAddressBytes(b"\x02" * 20)


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    counting = CountingComputation()
    call = seconds(counting.increment, calls=CALLS)
    around = seconds(counting.send_nothing, calls=CALLS)
    frame = (call - around) * 1e6
    parts = {"the frame": frame, "the message around it": around * 1e6}
    yield Row("warm call of a Solidity contract (increment)", call * 1e6, "one explicit message", parts)
    peer = PyEvmCalling(counting.code, counting.calldata)
    alone = seconds(peer.increment, calls=CALLS) * 1e6
    yield Row("a frame, state included", frame / alone, f"{frame:.0f} us, py-evm's call {alone:.0f} us")
    ours, theirs = seconds(loop), seconds(PyEvmCalling(LOOP, b"").increment)
    note = f"{ours / LOOP_ROUNDS * 1e6:.2f} us a round of eleven opcodes, py-evm {theirs / LOOP_ROUNDS * 1e6:.2f} us"
    yield Row("a loop of bytecode", ours / theirs, note)
    yield state_tests()
    parts = {timed.name: timed.ours / timed.theirs for timed in call_heavy()}
    yield Row("call-heavy code", max(parts.values()), "500 calls a transaction; the way to call that is worst", parts)


def state_tests() -> Row:
    """Return a row for a sample of Ethereum's official state tests, Cancun."""
    name = "Ethereum's state tests, a sample"
    if not STATE_TESTS.is_dir():
        return Row(name, None, f"no state tests at {STATE_TESTS}: set FVM_DATA")
    cases = list(sampled(STATE_TEST_STEP))
    ours, theirs = sum(case.ours for case in cases), sum(case.theirs for case in cases)
    single = median(case.ours / case.theirs for case in cases)
    note = f"{len(cases)} transactions: {ours:.2f} s, py-evm {theirs:.2f} s; median of the single ones {single:.2f} x"
    return Row(name, ours / theirs, note)


class CountingComputation:
    """The deployed example counter and its increment."""

    def __init__(self) -> None:
        artifact = contract("Counter")
        self.machine = Hypervisor.open(genesis=Genesis(accounts={SENDER: TokenAmount(10**24)}))
        self.nonce = 0
        created = self._send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(artifact.bytecode))
        self.address: EthAddress = CreateReturn.decode(created).eth_address
        self.calldata = artifact.interface.encode_call("increment")
        self.code = self._code()

    def increment(self) -> None:
        """Send one message, with checks and fees."""
        self._send(to_filecoin(self.address), INVOKE_EVM, byte_string(self.calldata))

    def send_nothing(self) -> None:
        """Send one message without a contract's frame: to the sender itself."""
        self._send(SENDER, METHOD_SEND, b"")

    def _send(self, to: Address, method: int, params: bytes) -> bytes:
        message = Message(to=to, from_=SENDER, nonce=self.nonce, method=MethodNumber(method), params=params)
        self.nonce += 1
        result = self.machine.apply(message)
        if result.exit_code != 0:
            raise RuntimeError(f"exit {result.exit_code}: {result.message}")
        return result.return_data

    def _code(self) -> bytes:
        from bridge.filecoin.evm_state import EvmState

        state = self.machine.actor(to_filecoin(self.address))
        if state is None:
            raise RuntimeError("the counter was not created")
        return self.machine.store.get(EvmState.decode(self.machine.store.get(state.head)).bytecode)


class PyEvmCalling:
    """The same code on py-evm's own state."""

    def __init__(self, code: bytes, calldata: bytes) -> None:
        context = ExecutionContext(
            coinbase=EthAddressBytes(bytes(20)),
            timestamp=1,
            block_number=BlockNumber(1),
            difficulty=0,
            mix_hash=Hash32(bytes(32)),
            gas_limit=10**9,
            prev_hashes=(),
            chain_id=1,
            base_fee_per_gas=1,
            excess_blob_gas=0,
        )
        self._state = CancunState(AtomicDB(), context, Hash32(bytes.fromhex(_EMPTY_TRIE)))
        self._state.set_code(PEER_CONTRACT, code)
        self._code, self._calldata = code, calldata

    def increment(self) -> None:
        """Make one call."""
        message = EthMessage(10**9, PEER_CONTRACT, PEER_CALLER, 0, self._calldata, self._code)
        transaction = CancunTransactionContext(1, PEER_CALLER)
        computation = self._state.computation_class.apply_message(self._state, message, transaction)
        computation.raise_if_error()
        self._state.lock_changes()


_EMPTY_TRIE = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"


class _BareHost:
    """A host for code that makes no host calls."""

    def __init__(self) -> None:
        self.gas = GasBudget(GasTracker(10**15))
        self.steps = None


_RULES = filecoin_evm_rules(LATEST)
_TABLE = PyEvmTable(_RULES)


def loop() -> None:
    """Run the loop on our engine."""
    caller = EthAddress(bytes(20))
    frame = Frame(_RULES, Code(LOOP), b"", caller, caller, 0, static=False)
    PyEvmEngine(_TABLE).start(frame, _BareHost())  # type: ignore[arg-type]  # the loop needs gas alone
