"""The readable engine compared with py-evm alone, transaction by transaction, under Ethereum's rules (Cancun).

Both sides start from the same accounts in memory, apply one transaction and write the state; creating the accounts is
not timed. A case of Ethereum's state tests counts if both sides reach the expected state root.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import median
from time import process_time
from typing import Any

from eth.abc import StateAPI
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.exceptions import VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.state import CancunState
from eth.vm.spoof import SpoofTransaction
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from bench.rows import Row
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.patricia import EMPTY_ROOT
from bridge.ethereum.transactions import LEGACY, Transaction
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import ChainEpoch, TokenAmount
from hypervisor_tools.laboratory.vectors.ethereum_json import read_accounts
from hypervisor_tools.laboratory.vectors.statetest import (
    Case,
    FixtureExterns,
    base_machine,
    read_case,
    read_context,
    read_sender,
    read_transaction,
)
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc, state_root
from runtimes.evm.forks.validation import InvalidTransaction
from runtimes.evm.revm.executor import EthereumExecutor
from tests.harness.paths import VECTORS

STATE_TEST_STEP = 10
STATE_TESTS = VECTORS / "GeneralStateTests"
FORK = "Cancun"
MAX_GAS = 5_000_000
CASES_A_TEST = 3
Accounts = Mapping[EthAddress, AllocAccount]


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
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


class BareCancunState(CancunState):
    """py-evm's state without the system contracts that it would add."""

    def set_system_contracts(self) -> None:
        """Do nothing: Ethereum's state tests include them."""


@cache
def our_machine() -> Hypervisor:
    """Return the initial state of every case."""
    return base_machine("py-evm")


class PyEvmPair:
    """One transaction on both sides."""

    def __init__(
        self, pre: Accounts, context: MachineContext, random: bytes, transaction: Transaction, sender: EthAddress
    ) -> None:
        assert isinstance(context.block, EthereumBlock)
        self.transaction, self.sender = transaction, sender
        self._machine = our_machine().fork()
        self._machine.context = context
        self._machine.externs = FixtureExterns(random)
        install_alloc(self._machine, pre)
        self._before = self._machine.snapshot()
        self._context = ExecutionContext(
            coinbase=Address(context.block.coinbase),
            timestamp=context.timestamp,
            block_number=BlockNumber(context.epoch),
            difficulty=0,
            mix_hash=Hash32(random),
            gas_limit=context.block.gas_limit,
            prev_hashes=(),
            chain_id=context.chain_id,
            base_fee_per_gas=context.base_fee,
            excess_blob_gas=context.block.excess_blob_gas,
        )
        self._store = AtomicDB()
        self._root = self._their_accounts(pre)

    def _their_accounts(self, pre: Accounts) -> Hash32:
        state = BareCancunState(self._store, self._context, Hash32(EMPTY_ROOT))
        for key, account in pre.items():
            address = Address(key)
            state.set_balance(address, account.balance)
            state.set_nonce(address, account.nonce)
            state.set_code(address, account.code)
            for slot, word in account.storage.items():
                state.set_storage(address, slot, word)
        return _write_state(state)

    def ours(self) -> tuple[float, bytes]:
        """Return the processor time in seconds of the transaction on our machine, and the state root."""
        machine = self._machine
        machine.restore(self._before)
        start = process_time()
        EthereumExecutor(machine).apply_transaction(self.transaction, self.sender)
        machine.state_tree.flush()
        return process_time() - start, state_root(dict(read_alloc(machine)))

    def theirs(self) -> tuple[float, bytes]:
        """Return the seconds of the transaction on py-evm, and the state root."""
        state = BareCancunState(self._store, self._context, self._root)
        sent = self.transaction
        bare = CancunVM.create_unsigned_transaction(
            nonce=sent.nonce,
            gas_price=sent.max_fee,
            gas=sent.gas_limit,
            to=CREATE_CONTRACT_ADDRESS if sent.to is None else Address(sent.to),
            value=sent.value,
            data=sent.data,
        )
        transaction = SpoofTransaction(bare, from_=Address(self.sender))
        start = process_time()
        state.apply_transaction(transaction)  # type: ignore[arg-type]  # signed, as far as py-evm looks
        root = _write_state(state)
        return process_time() - start, root


def _write_state(state: StateAPI) -> Hash32:
    state.lock_changes()
    root = state.make_state_root()
    state.persist()
    return root


@dataclass(frozen=True, slots=True)
class TimedCase:
    """The best times of a case, in seconds."""

    name: str
    ours: float
    theirs: float


def time_pair(name: str, pair: PyEvmPair, expected: bytes | None = None, rounds: int = 3) -> TimedCase | None:
    """Return the best of some alternating rounds; None if one side does not reach the expected root."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        for times, run in ((ours, pair.ours), (theirs, pair.theirs)):
            seconds, root = run()
            if expected is not None and root != expected:
                return None
            times.append(seconds)
    return TimedCase(name, min(ours), min(theirs))


def sampled(step: int) -> Iterator[TimedCase]:
    """Yield timed cases of every n-th file under Cancun: legacy transactions of at most five million gas.

    The curve of precompiles 6 to 8 is skipped, because py-evm implements it in Python.
    """
    for path in sorted(STATE_TESTS.rglob("*.json"))[::step]:
        if "stZeroKnowledge" in path.parts[-2]:
            continue
        for name, test in json.loads(path.read_text()).items():
            for index, outcome in enumerate(test["post"].get(FORK, [])[:CASES_A_TEST]):
                timed = _time_case(f"{path.name} {name} {index}", test, read_case("", name, FORK, index, outcome))
                if timed is not None:
                    yield timed


def _time_case(name: str, test: Any, case: Case) -> TimedCase | None:
    """Return None if the case is not suitable, or py-evm alone cannot run it."""
    transaction = None if case.exception else read_transaction(test["transaction"], case.indexes)
    if transaction is None or transaction.type != LEGACY or transaction.gas_limit > MAX_GAS:
        return None
    env = test["env"]
    random = bytes.fromhex(env.get("currentRandom", "").removeprefix("0x").rjust(64, "0"))
    context = read_context(env, test.get("config", {}), FORK)
    try:
        pre = read_accounts(test["pre"], "pre")
        return time_pair(
            name, PyEvmPair(pre, context, random, transaction, read_sender(test["transaction"])), case.root
        )
    except (VMError, ValidationError, InvalidTransaction):
        return None


CALLER, CALLEE, SENDER = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC))
_LOOP = "6101f45b60205f5f5f{}73" + CALLEE.hex() + "5a{}5060019003806100035700"
_ANSWER, _COUNT = "602a5f5260205ff3", "5f546001015f5500"
CALL_HEAVY = {
    "CALL": (_LOOP.format("5f", "f1"), _ANSWER),
    "STATICCALL": (_LOOP.format("", "fa"), _ANSWER),
    "DELEGATECALL": (_LOOP.format("", "f4"), _ANSWER),
    "CALL that writes": (_LOOP.format("5f", "f1"), _COUNT),
}
"""A loop of 500 calls of a contract that returns a word, or of one that counts; the results are dropped."""


def call_heavy() -> Iterator[TimedCase]:
    """Yield a transaction of 500 calls for each call opcode."""
    block = EthereumBlock(fork=FORK, gas_limit=10**9, filecoin_addresses=False)
    context = MachineContext(
        epoch=ChainEpoch(1), timestamp=1, base_fee=TokenAmount(10), chain_id=1, rules="ethereum", block=block
    )
    for name, (caller, callee) in CALL_HEAVY.items():
        pre = {
            CALLER: AllocAccount(code=bytes.fromhex(caller)),
            CALLEE: AllocAccount(code=bytes.fromhex(callee)),
            SENDER: AllocAccount(balance=10**24),
        }
        pair = PyEvmPair(pre, context, bytes(32), Transaction(LEGACY, None, 0, CALLER, 0, b"", 10**8, 10, 0), SENDER)
        timed = time_pair(name, pair, pair.theirs()[1])
        if timed is None:
            raise RuntimeError(f"{name}: the two sides do not reach one state root")
        yield timed
