"""Balances near 2^256 - 1 wei, on both engines, as one tree and frame by frame.

Gas and balances are those of pyrevm for the same accounts and code, except that it does not return the value of a call
that fails with `OverflowPayment` to the caller. geth would wrap the receiver's balance around instead.
"""

import pytest

from bridge.ethereum.addresses import EthAddress, create_address
from bridge.ethereum.block import EthereumBlock
from hypervisor.types import MAX_BALANCE
from runtimes.evm.ethereum.alloc import AllocAccount
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import CALLEE, CONTRACT, NOBODY, TWIN_OTHER, TWIN_SENDER, Twins, call, word

KEEP = "2 SSTORE SELFBALANCE 3 SSTORE"
FULL = {TWIN_OTHER: AllocAccount(MAX_BALANCE)}
IDENTITY = EthAddress((4).to_bytes(20, "big"))
COINBASE = EthAddress(b"\xc0" * 20)


@pytest.mark.parametrize("code", [b"", assemble("1 1 SSTORE")], ids=["an account", "a contract"])
def test_value_call_overflowing_balance_fails_and_burns_its_gas(twins: Twins, prefix: str, code: bytes) -> None:
    pre = {TWIN_OTHER: AllocAccount(MAX_BALANCE - 1, 1, code)}
    fits, fails = (
        f"{prefix} GAS {call(TWIN_OTHER, value, gas='50000')} {KEEP} GAS SWAP1 SUB 4 SSTORE" for value in (1, 2)
    )
    after = twins.run(fits, "", pre)
    assert (after.slots[2], after.slots[3], after.accounts[TWIN_OTHER].balance) == (1, 99, MAX_BALANCE)
    after = twins.run(fails, "", pre)
    assert (after.slots.get(2, 0), after.slots[3], after.accounts[TWIN_OTHER].balance) == (0, 100, MAX_BALANCE - 1)
    # the call's own price with a value to a cold account, its gas with the stipend, and two slots that are written
    assert after.slots[4] > 2_600 + 9_000 + 50_000


def test_precompile_with_overflowing_balance_is_not_called(twins: Twins, prefix: str) -> None:
    after = twins.run(f"{prefix} {call(IDENTITY, 1, gas='50000')} {KEEP}", "", {IDENTITY: AllocAccount(MAX_BALANCE)})
    assert (after.slots.get(2, 0), after.slots[3], after.accounts[IDENTITY].balance) == (0, 100, MAX_BALANCE)


@pytest.mark.parametrize("kind", ["CALL", "CALLCODE"])
def test_a_value_that_stays_where_it_is_does_not_overflow(twins: Twins, prefix: str, kind: str) -> None:
    to = CONTRACT if kind == "CALL" else TWIN_OTHER
    contract = f"CALLVALUE @called JUMPI {prefix} {call(to, 5, kind=kind)} {KEEP} called: STOP"
    after = twins.run(contract, "", {CONTRACT: AllocAccount(MAX_BALANCE, 1, assemble(contract)), **FULL})
    assert (after.slots[2], after.slots[3]) == (1, MAX_BALANCE)


def test_create_overflowing_balance_fails_but_uses_its_nonce(twins: Twins, prefix: str) -> None:
    made = create_address(CONTRACT, 1)
    contract = f"{prefix} 0 0 1 CREATE {KEEP} 0 0 0 CREATE 5 SSTORE"
    after = twins.run(contract, "", {made: AllocAccount(MAX_BALANCE)}, gas=16_000_000)
    assert (after.slots.get(2, 0), after.slots[3], after.accounts[made]) == (0, 100, AllocAccount(MAX_BALANCE))
    assert after.accounts[CONTRACT].nonce == 3
    assert after.slots[5] == int.from_bytes(create_address(CONTRACT, 2), "big")
    assert after.result.gas_used > 15_000_000


def test_selfdestruct_balance_overflow_wraps_around(twins: Twins, prefix: str) -> None:
    after = twins.run(
        f"{prefix} {call(CALLEE)} {KEEP} {word(TWIN_OTHER)} BALANCE 4 SSTORE", f"{word(TWIN_OTHER)} SELFDESTRUCT", FULL
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


def test_a_full_coinbase_stays_full(twins: Twins) -> None:
    block = EthereumBlock("Osaka", COINBASE, gas_limit=1 << 60)
    after = twins.run("COINBASE BALANCE 2 SSTORE", "", {COINBASE: AllocAccount(MAX_BALANCE - 5)}, block=block)
    assert after.result.gas.miner_tip > 5
    assert after.accounts[COINBASE].balance == MAX_BALANCE
    after = twins.run("COINBASE BALANCE 2 SSTORE", "", {COINBASE: AllocAccount(MAX_BALANCE)}, block=block)
    assert (after.slots[2], after.accounts[COINBASE].balance) == (MAX_BALANCE, MAX_BALANCE)


def test_balances_of_all_bits_are_read(twins: Twins, prefix: str) -> None:
    contract = f"{prefix} {word(TWIN_OTHER)} BALANCE 2 SSTORE {word(NOBODY)} BALANCE 3 SSTORE SELFBALANCE 4 SSTORE"
    after = twins.run(contract, "", {**FULL, NOBODY: AllocAccount(1 << 255)})
    assert (after.slots[2], after.slots[3], after.slots[4]) == (MAX_BALANCE, 1 << 255, 100)
