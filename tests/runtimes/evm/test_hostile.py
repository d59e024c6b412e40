"""Hostile bytecode and keys, and limits of gas and balances.

- Hostile bytecode: expected end, bounded memory (of the process, too), no RecursionError.
- Storage keys chosen to be expensive: their cost stays in proportion to their gas.
- Gas limits at the ends of number ranges, under both rules and on every engine.
- Balances near 2^256 - 1 wei, on both engines, as one tree and frame by frame.

Expected ends follow the yellow paper, EIP-170 and EIP-6780 under Ethereum's rules; under Filecoin's, the official EVM
actor, which runs the same programs if its bundle is available.

Times are compared with the same program on random slots; counted work, with one call more.

Expected: Ethereum's transaction tests (ttGasLimit: a limit of 2^64 is GASLIMIT_OVERFLOW) and ref-fvm's messages, whose
limit is a signed 64-bit number.

Gas and balances are those of pyrevm for the same accounts and code, except that it does not return the value of a call
that fails with `OverflowPayment` to the caller. geth would wrap the receiver's balance around instead.
"""

import json
import subprocess
import sys
from dataclasses import replace
from time import process_time
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, create_address, masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.transactions import LEGACY, Transaction, parse_transaction
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.errors import MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import INIT_ACTOR, MAX_BALANCE, Gas
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from runtimes.evm.forks.validation import InvalidTransaction, RejectionReason
from runtimes.evm.revm import EthereumExecutor
from tests.conftest import data_file
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.hostile import HUGE, RANGES, orders
from tests.runtimes.evm.machines import CALLEE, CONTRACT, NOBODY, TWIN_OTHER, TWIN_SENDER, Twins, call, word
from tests.runtimes.evm.revm.test_session_calls import CALL_CALLEE, machine, run

MAX_MIB = 400


def run_hostile(*arguments: str) -> Any:
    command = [sys.executable, "-m", "tests.runtimes.evm.hostile", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["fast", pytest.param("py-evm", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def filecoin(engine: str) -> Any:
    return run_hostile("filecoin", engine)


@pytest.fixture(scope="module")
def ethereum(engine: str) -> Any:
    return run_hostile("ethereum", engine)


@pytest.mark.slow
def test_a_claim_of_more_memory_than_there_is_ends_the_frame(filecoin: Any, ethereum: Any) -> None:
    names = [(operation, size, f"{operation} {size}") for operation in RANGES for size in HUGE]
    assert ethereum["ranges"] == {name: [1, True] for _, _, name in names}  # out of gas, which is gone
    below = ("MSTORE", "MSTORE8", "MLOAD", "MCOPY from afar")  # these reach beyond the offset that they name
    for operation, size, name in names:
        fits = size == "four gigabytes" and operation not in below
        expected = [24, False] if fits or name == "MSTORE8 four gigabytes" else [38, False]
        assert filecoin["ranges"][name] == expected, name


def test_infinite_loop_uses_only_its_gas(filecoin: Any, ethereum: Any) -> None:
    assert filecoin["endless"] == [7, True]
    assert ethereum["endless"] == [1, True]


def test_code_of_24_kibibytes_and_a_byte_is_refused(filecoin: Any, ethereum: Any) -> None:
    assert filecoin["created"] == {"24576": 0, "24577": 16}
    assert ethereum["created"] == {"24576": 0, "24577": 1}


def test_recursion_goes_as_deep_as_the_rules_say(filecoin: Any, ethereum: Any) -> None:
    """Ethereum's limit counts the calls below the first frame, Filecoin's the frames."""
    assert (filecoin["frames"], ethereum["frames"]) == (1024, 1025)
    assert filecoin["recursion limit kept"]
    assert ethereum["recursion limit kept"]


def test_selfdestructs_in_any_order_leave_expected_balances(filecoin: Any, ethereum: Any) -> None:
    for name, calls in orders():
        balances = [10, 100, 1000]
        for who, heir in calls:
            if who != heir:
                balances[heir], balances[who] = balances[heir] + balances[who], 0
        # none was made in the same transaction, so under Ethereum's rules none goes (EIP-6780)
        assert ethereum["destroyed"][name] == [0, balances, [True] * 3]
        assert filecoin["destroyed"][name] == [0, balances, [False] * 3]


def test_memory_stays_bounded(filecoin: Any, ethereum: Any) -> None:
    assert max(filecoin["MiB"], ethereum["MiB"]) < MAX_MIB


@pytest.mark.slow
def test_official_actor_ends_hostile_code_identically(filecoin: Any) -> None:
    official = run_hostile("filecoin", "official", str(data_file("bundles/v18-devnet.car")))
    assert {**official, "MiB": 0} == {**filecoin, "MiB": 0}


SPREAD = f"{(1 << 256) // 3 | 1} MUL"
"""Code that maps a number to a slot without hash collisions."""
CHOSEN = {
    "small numbers": "",
    "one hash as numbers in Python": f"{(1 << 61) - 1} MUL",
    "one product folded": (
        f"DUP1 {0x9E3779B97F4A7C15F39CC0605CEDC835} MUL DUP1 64 SHR XOR {(1 << 64) - 1} AND 64 SHL OR"
    ),
}
"""Code that maps a number to a slot; the last one prepends a limb that cancels the state of an unseeded hash."""
GAS = 1_000_000
MAX = 4
"""Maximum ratio of times. A map whose keys share one hash takes at least ten times as long."""


@pytest.mark.slow
@pytest.mark.parametrize("use", ["TLOAD POP", "DUP1 TSTORE"])
@pytest.mark.parametrize("evm", ["fast", "py-evm"])
@pytest.mark.parametrize("chosen", CHOSEN)
def test_slots_that_were_chosen_take_no_longer_than_others(chosen: str, evm: str, use: str) -> None:
    ours, others = (seconds(evm, f"DUP1 {slot} {use}") for slot in (CHOSEN[chosen], SPREAD))
    assert ours < MAX * others


def seconds(evm: str, body: str) -> float:
    """Processor time of a program that does something with 1, 2, 3 and so on until its gas is nearly used."""
    taken = []
    with machine(f"0 again: 1 ADD {body} 30000 GAS GT @again JUMPI", evm=evm) as made:
        for nonce in range(3):
            start = process_time()
            result = run(made, gas=GAS, nonce=nonce)
            taken.append(process_time() - start)
            assert result.exit_code == 0
            assert result.receipt.gas_used > GAS - 60_000
    return min(taken)


def many(slots: int, calls: int) -> str:
    """Code that leaves the tree, writes slots, then calls."""
    return f"""
        0x{masked_id(INIT_ACTOR).hex()} BALANCE
        {slots} write: DUP1 DUP1 TSTORE 1 SWAP1 SUB DUP1 @write JUMPI
        {calls} call: {CALL_CALLEE} POP 1 SWAP1 SUB DUP1 @call JUMPI
    """


SENDER, LIMITS_CONTRACT = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB))
ENGINES = ("py-evm", "fast")

OVERFLOW_64 = bytes.fromhex(
    "f86680018901000000000000000094095e7baea6a6c7c4c2dfeb977efac326af552d870b801ba048b55bfa915ac795c431978d8a6a992b628d"
    "557da5ff759b307d495a36649353a01fffd310ac743f371de3b9f7f9cb56c0b28ad43601b4ab949f53faa07bd2c804"
)
"""ttGasLimit/TransactionWithGasLimitOverflow64."""


def limits_machine(rules: str, engine: str) -> Hypervisor:
    made = Hypervisor.open(rules=rules, evm=engine)
    if rules == "ethereum":
        made.advance(block=EthereumBlock("Prague", gas_limit=1 << 200))
    install_alloc(made, {SENDER: AllocAccount(1 << 90), LIMITS_CONTRACT: AllocAccount(0, 1, assemble("GAS 0 SSTORE"))})
    made.flush()
    return made


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limit", [1 << 64, (1 << 64) + 21_000, 1 << 128, 1 << 256])
def test_a_transaction_with_gas_of_more_than_64_bits_is_none(engine: str, limit: int) -> None:
    with limits_machine("ethereum", engine) as made:
        before, transaction = made.flush(), Transaction(LEGACY, None, 0, LIMITS_CONTRACT, 0, b"", limit, 0, 0)
        with pytest.raises(InvalidTransaction) as refused:
            EthereumExecutor(made).apply_transaction(transaction, SENDER)
        assert refused.value.refusal is RejectionReason.GASLIMIT_OVERFLOW
        assert made.flush() == before
        most = replace(transaction, gas_limit=(1 << 64) - 1)
        result = EthereumExecutor(made).apply_transaction(most, SENDER)
        assert (result.success, result.gas_used) == (True, 21_000 + 2 + 2 + 22_100)  # GAS, PUSH0, SSTORE of a cold slot


def test_the_official_bytes_of_such_a_transaction_are_refused() -> None:
    signed = parse_transaction(OVERFLOW_64)
    with limits_machine("ethereum", "fast") as made, pytest.raises(InvalidTransaction, match="GASLIMIT_OVERFLOW"):
        EthereumExecutor(made).apply_signed(signed, signed.sender())


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("limit", [-1, 0, 1 << 63, 1 << 64, 1 << 65])
def test_a_message_has_gas_of_63_bits(rules: str, engine: str, limit: int) -> None:
    with limits_machine(rules, engine) as made:
        before = made.flush()
        message = Message(to_filecoin(LIMITS_CONTRACT), to_filecoin(SENDER), method=INVOKE_EVM, gas_limit=Gas(limit))
        with pytest.raises(MessageError, match="gas limit"):
            made.apply(message)
        assert made.flush() == before
        most = made.apply(replace(message, gas_limit=Gas((1 << 63) - 1)))
        assert most.exit_code == 0


KEEP = "2 SSTORE SELFBALANCE 3 SSTORE"
FULL = {TWIN_OTHER: AllocAccount(MAX_BALANCE)}
IDENTITY = EthAddress((4).to_bytes(20, "big"))
COINBASE = EthAddress(b"\xc0" * 20)


@pytest.mark.parametrize("code", [b"", assemble("1 1 SSTORE")], ids=["an account", "a contract"])
def test_value_call_overflowing_balance_fails_and_burns_its_gas(twins: Twins, code: bytes) -> None:
    pre = {TWIN_OTHER: AllocAccount(MAX_BALANCE - 1, 1, code)}
    fits, fails = (f"GAS {call(TWIN_OTHER, value, gas='50000')} {KEEP} GAS SWAP1 SUB 4 SSTORE" for value in (1, 2))
    after = twins.run(fits, "", pre)
    assert (after.slots[2], after.slots[3], after.accounts[TWIN_OTHER].balance) == (1, 99, MAX_BALANCE)
    after = twins.run(fails, "", pre)
    assert (after.slots.get(2, 0), after.slots[3], after.accounts[TWIN_OTHER].balance) == (0, 100, MAX_BALANCE - 1)
    # the call's own price with a value to a cold account, its gas with the stipend, and two slots that are written
    assert after.slots[4] > 2_600 + 9_000 + 50_000


def test_precompile_with_overflowing_balance_is_not_called(twins: Twins) -> None:
    after = twins.run(f"{call(IDENTITY, 1, gas='50000')} {KEEP}", "", {IDENTITY: AllocAccount(MAX_BALANCE)})
    assert (after.slots.get(2, 0), after.slots[3], after.accounts[IDENTITY].balance) == (0, 100, MAX_BALANCE)


@pytest.mark.parametrize("kind", ["CALL", "CALLCODE"])
def test_a_value_that_stays_where_it_is_does_not_overflow(twins: Twins, kind: str) -> None:
    to = CONTRACT if kind == "CALL" else TWIN_OTHER
    contract = f"CALLVALUE @called JUMPI {call(to, 5, kind=kind)} {KEEP} called: STOP"
    after = twins.run(contract, "", {CONTRACT: AllocAccount(MAX_BALANCE, 1, assemble(contract)), **FULL})
    assert (after.slots[2], after.slots[3]) == (1, MAX_BALANCE)


def test_create_overflowing_balance_fails_but_uses_its_nonce(twins: Twins) -> None:
    made = create_address(CONTRACT, 1)
    contract = f"0 0 1 CREATE {KEEP} 0 0 0 CREATE 5 SSTORE"
    after = twins.run(contract, "", {made: AllocAccount(MAX_BALANCE)}, gas=16_000_000)
    assert (after.slots.get(2, 0), after.slots[3], after.accounts[made]) == (0, 100, AllocAccount(MAX_BALANCE))
    assert after.accounts[CONTRACT].nonce == 3
    assert after.slots[5] == int.from_bytes(create_address(CONTRACT, 2), "big")
    assert after.result.gas_used > 15_000_000


def test_selfdestruct_balance_overflow_wraps_around(twins: Twins) -> None:
    after = twins.run(
        f"{call(CALLEE)} {KEEP} {word(TWIN_OTHER)} BALANCE 4 SSTORE", f"{word(TWIN_OTHER)} SELFDESTRUCT", FULL
    )
    assert (after.slots[2], after.slots[4], after.accounts[TWIN_OTHER].balance) == (1, 49, 49)
    assert after.accounts[CALLEE].balance == 0


def test_overflowing_value_fails_transaction_with_all_gas(twins: Twins) -> None:
    pre = {CONTRACT: AllocAccount(MAX_BALANCE, 1, assemble("STOP"))}
    after = twins.run("", "", pre, value=1, gas=300_000)
    assert (after.result.success, after.result.gas_used) == (False, 300_000)
    assert after.accounts[CONTRACT].balance == MAX_BALANCE
    assert after.accounts[TWIN_SENDER].balance == 10**24 - 300_000
    assert twins.run("", "", pre, value=0).result.success


@pytest.mark.parametrize("balance", [MAX_BALANCE - 5, MAX_BALANCE])
def test_a_full_coinbase_gets_no_tip(twins: Twins, balance: int) -> None:
    """Source: revm's `reward_beneficiary`."""
    block = EthereumBlock("Osaka", COINBASE, gas_limit=1 << 60)
    after = twins.on("fast", "COINBASE BALANCE 2 SSTORE", "", {COINBASE: AllocAccount(balance)}, block=block)
    assert after.result.gas.miner_tip > 5
    assert (after.slots[2], after.accounts[COINBASE].balance) == (balance, balance)


def test_balances_of_all_bits_are_read(twins: Twins) -> None:
    contract = f"{word(TWIN_OTHER)} BALANCE 2 SSTORE {word(NOBODY)} BALANCE 3 SSTORE SELFBALANCE 4 SSTORE"
    after = twins.run(contract, "", {**FULL, NOBODY: AllocAccount(1 << 255)})
    assert (after.slots[2], after.slots[3], after.slots[4]) == (MAX_BALANCE, 1 << 255, 100)
