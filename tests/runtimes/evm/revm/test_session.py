"""The state session: what it holds between transactions, when it writes, and what ends it.

Expected: the same transactions on the machine's calls, which the official tests judge, and values by hand.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, create_address, masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.execution import CallMessage
from bridge.ethereum.transactions import BLOB, DYNAMIC_FEE, GAS_PER_BLOB, LEGACY, Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, unwrap_return
from hypervisor.context import DevelopmentExterns, ExternError
from hypervisor.errors import Fatal, InvalidInput, LongExecution
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import StateTree
from hypervisor.threads import ShortExecutions
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    EAM_ACTOR,
    MAX_BALANCE,
    ActorID,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.forks.validation import InvalidTransaction
from runtimes.evm.revm import EthereumExecutor
from runtimes.evm.revm.guest import Guest, GuestFailure
from runtimes.evm.revm.protocol import Command, Mode
from runtimes.evm.revm.requests import Requests
from runtimes.evm.revm.session import session_of
from runtimes.evm.revm.transactions import TransactionResult
from tests.crossing.trees import FUNDS, LOOKUP, PUPPETS, Script, Tree, puppet
from tests.differential.twins import CallOf
from tests.patience import slowness
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import create, word
from tests.runtimes.evm.revm.test_record import Stepping, calls_of, instructions_of
from tests.runtimes.wasm.guests import install_actor

SENDER, OTHER, NOBODY = (EthAddress(bytes([number]) * 20) for number in (0xA1, 0xA2, 0xA3))
COUNTER, MAKER, TOKEN, ENDLESS, PAYER, TAKEN, PAIRING = (EthAddress(bytes([0xC1 + at]) * 20) for at in range(7))
COINBASE, CHECKER = (EthAddress(bytes([number]) * 20) for number in (0xCB, 0xCC))
RICH = 10**21
BASE_FEE, PRICE = 7, 10
COUNTS = "0 SLOAD 1 ADD DUP1 0 SSTORE 0 MSTORE 7 32 0 LOG1 32 0 RETURN"
MAKES = f"{create(deployer(assemble('0 0 LOG0 CALLER SELFDESTRUCT')), 0)} 0 0 0 0 0 DUP6 GAS CALL"
"""Creates a contract, and calls it: it emits a log and is removed with the transaction."""
WRITES = "CALLDATASIZE 0 CALLDATALOAD SSTORE"
"""Writes the size of the calldata to the slot that it names."""


@contextmanager
def opened(evm: str = "fast") -> Iterator[Hypervisor]:
    """Open a machine with contracts, in a block at London's fees."""
    with Hypervisor.open(rules="ethereum", evm=evm) as machine:
        machine.advance(
            block=EthereumBlock("Osaka", COINBASE, filecoin_addresses=False), base_fee=TokenAmount(BASE_FEE)
        )
        install_alloc(machine, {
            SENDER: AllocAccount(RICH),
            OTHER: AllocAccount(RICH),
            COUNTER: AllocAccount(0, 1, assemble(COUNTS), {0: 5}),
            MAKER: AllocAccount(9, 1, assemble(MAKES)),
            TOKEN: AllocAccount(0, 1, assemble(WRITES), {1: 1, 2: 2}),
            ENDLESS: AllocAccount(0, 1, assemble("again: @again JUMP")),
            PAYER: AllocAccount(RICH, 1, assemble(f"0 0 0 0 CALLVALUE {word(NOBODY)} GAS CALL")),
        })  # fmt: skip
        machine.flush()
        yield machine


@pytest.fixture
def machine() -> Iterator[Hypervisor]:
    with opened() as machine:
        yield machine


def sent(nonce: int, to: EthAddress | None, data: bytes = b"", value: int = 0, gas: int = 200_000) -> Transaction:
    return Transaction(DYNAMIC_FEE, None, nonce, to, value, data, gas, PRICE, PRICE)


def holds(machine: Hypervisor) -> bool:
    """Return True if changes are not written to the tree yet."""
    return machine.state_tree.held is not None


def test_changes_are_written_when_the_tree_is_read(machine: Hypervisor) -> None:
    executor, tree = EthereumExecutor(machine), machine.state_tree
    before = tree.writes
    for nonce in range(3):
        result = executor.apply_transaction(sent(nonce, COUNTER), SENDER)
        assert int.from_bytes(result.logs[0][1].data, "big") == 6 + nonce
    assert holds(machine)
    assert tree.writes == before
    gas = TokenAmount(RICH - machine.balance(to_filecoin(SENDER)))
    assert not holds(machine)
    assert dict(read_alloc_of(machine))[COUNTER].storage == {0: 8}
    burnt = machine.state_tree.existing(BURNT_FUNDS_ACTOR).balance
    assert gas * BASE_FEE == burnt * PRICE
    assert machine.balance(to_filecoin(COINBASE)) == gas - burnt


class NoCalls:
    """Stands for `Application`, and fails."""

    def __init__(self, *given: object) -> None:
        pytest.fail(f"the machine's calls run {given}")


REFUSED = {
    "nonce 1, the sender's next nonce is 0": sent(1, OTHER),
    "gas limit 20999 is below the intrinsic gas 21000": sent(0, OTHER, gas=20_999),
    "gas limit 16777217 exceeds the cap 16777216": sent(0, OTHER, gas=(1 << 24) + 1),
    "the sender is a contract": sent(1, OTHER),
    f"the sender has {RICH}, the maximum cost is {RICH + 2_000_000}": sent(0, OTHER, value=RICH),
    f"gas limit 200000, fee cap {1 << 111}": replace(sent(0, OTHER), max_fee=1 << 111),
    f"gas limit 200000, fee cap {1 << 200}": replace(sent(0, OTHER), max_fee=1 << 200),
    f"maxFeePerBlobGas {1 << 128}": replace(
        sent(0, OTHER), type=BLOB, max_fee_per_blob_gas=1 << 128, blob_hashes=(b"\x01" + bytes(31),)
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refusal_writes_nothing(machine: Hypervisor, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    executor, sender = EthereumExecutor(machine), PAYER if "contract" in text else SENDER
    if "fee" in text.lower():
        install_alloc(machine, {SENDER: AllocAccount(1 << 250)})
    executor.apply_transaction(sent(0, COUNTER), OTHER)
    with pytest.raises(InvalidTransaction, match=text) as error:
        executor.apply_transaction(REFUSED[text], sender)
    assert executor.refusals(REFUSED[text], sender) == [error.value.name]
    assert holds(machine)


@pytest.mark.parametrize("fork", ["Frontier", "Berlin", "Osaka", "Amsterdam"])
def test_simulations_need_the_funds_for_their_value(
    machine: Hypervisor, fork: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.advance(block=EthereumBlock(fork, filecoin_addresses=False))
    executor = EthereumExecutor(machine)
    for sender in (SENDER, OTHER):
        assert executor.simulate(CallMessage(sender, NOBODY, Gas(1_000_000), TokenAmount(RICH))).exit_code == 0
    with pytest.raises(InvalidTransaction, match="the sender has 0, the maximum cost is 1"):
        executor.simulate(CallMessage(NOBODY, OTHER, Gas(100_000), TokenAmount(1)))


@pytest.mark.parametrize(("fee", "cost"), [(0, 0), (5, GAS_PER_BLOB)])
def test_simulated_blobs_without_fee_are_free(machine: Hypervisor, fee: int, cost: int) -> None:
    """Contracts see the block's fee, which is 1, without a fee cap 0 (as in geth), and SENDER's balance after costs."""
    code = assemble(f"BLOBBASEFEE 0 MSTORE {word(SENDER)} BALANCE 32 MSTORE 64 0 RETURN")
    install_alloc(machine, {COUNTER: AllocAccount(0, 1, code)})
    hashes = (b"\x01" + bytes(31),)
    call = CallMessage(SENDER, COUNTER, Gas(100_000), max_fee=PRICE, max_fee_per_blob_gas=fee, blob_hashes=hashes)
    data = unwrap_return(EthereumExecutor(machine).simulate(call).receipt.return_data)
    assert int.from_bytes(data[:32], "big") == (1 if fee else 0)
    assert int.from_bytes(data[32:], "big") == RICH - cost - 100_000 * min(PRICE, BASE_FEE)


NEW = create_address(SENDER, 0)
TO_BN254_ADD, TO_BLAKE2 = (EthAddress(number.to_bytes(20, "big")) for number in (6, 9))
FULL = AllocAccount(MAX_BALANCE)
COLLISION, TOO_MUCH = "a contract exists at this address already", "3 wei would exceed the maximum balance of 0x"
ENDS = {
    f"{COLLISION}": ({NEW: AllocAccount(1, 1)}, None, b"", 0),
    f"{COLLISION}, with slots": ({NEW: AllocAccount(1, 0, b"", {1: 1})}, None, b"", 0),
    f"overflow payment: {TOO_MUCH}{NOBODY.hex()}, 2^256 - 1 wei": ({NOBODY: FULL}, NOBODY, b"", 3),
    f"overflow payment: {TOO_MUCH}{NEW.hex()}, 2^256 - 1 wei": ({NEW: FULL}, None, b"", 3),
    "max code size exceeded: code size 24577 limit 24576": ({}, None, assemble("24577 0 RETURN"), 0),
    "max initcode size exceeded: code size 49153 limit 49152": ({}, None, assemble("0 49153 0 0 CREATE"), 0),
    "code begins with the reserved byte 0xef": ({}, None, assemble("0xef 0 MSTORE8 1 0 RETURN"), 0),
    "bn254_add: bn254 point is not on the curve": ({}, TO_BN254_ADD, b"\x01" * 64, 0),
    "blake2f: blake2f input must be 213 bytes": ({}, TO_BLAKE2, b"", 0),
}
"""Accounts, receiver, data and value of a transaction, by the message of its end."""


@pytest.mark.parametrize("text", ENDS)
def test_ends_of_first_frames_are_explained(machine: Hypervisor, text: str) -> None:
    accounts, to, data, value = ENDS[text]
    install_alloc(machine, accounts)
    machine.flush()
    result = EthereumExecutor(machine).apply_transaction(sent(0, to, data, value, 6_000_000), SENDER)
    after = dict(read_alloc_of(machine))
    assert {address: after[address] for address in accounts} == accounts
    assert result.message.startswith(text.split(", with")[0])


def read_alloc_of(machine: Hypervisor) -> Iterator[tuple[EthAddress, AllocAccount]]:
    machine.flush()
    return read_alloc(machine)


def test_a_change_from_elsewhere_is_seen(machine: Hypervisor) -> None:
    executor = EthereumExecutor(machine)
    executor.apply_transaction(sent(0, OTHER, value=1), SENDER)
    tree = machine.state_tree
    actor = tree.lookup_id(to_filecoin(SENDER))
    assert actor is not None
    tree.set_actor(actor, tree.existing(actor).with_balance(0))
    with pytest.raises(InvalidTransaction, match="the sender has 0, the maximum cost is"):
        executor.apply_transaction(sent(1, OTHER, value=1), SENDER)


def test_absent_accounts_are_requested_in_bulk(monkeypatch: pytest.MonkeyPatch) -> None:
    """An account comes to be by a transaction, or by a change from elsewhere, after many others were absent."""
    asked: list[bytes] = []
    account = Requests.account

    def counting(self: Requests, request: bytes) -> bytes:
        asked.append(request)
        return account(self, request)

    fresh = [EthAddress(bytes([0x31]) * 18 + number.to_bytes(2, "big")) for number in range(100)]
    with opened() as machine:
        install_alloc(machine, {CHECKER: AllocAccount(0, 1, assemble("0 CALLDATALOAD BALANCE 0 MSTORE 32 0 RETURN"))})
        executor = EthereumExecutor(machine)

        def balance(address: EthAddress) -> int:
            call = CallMessage(sender=SENDER, to=CHECKER, data=bytes(12) + address, gas_limit=100_000)
            return int.from_bytes(unwrap_return(executor.simulate(call).receipt.return_data), "big")

        monkeypatch.setattr(Requests, "account", counting)
        assert [balance(address) for address in fresh] == [0] * 100
        assert len(asked) < 20
        executor.apply_transaction(sent(0, fresh[5], value=3), SENDER)
        assert (balance(fresh[5]), balance(fresh[6])) == (3, 0)
        machine.flush()
        assert (balance(fresh[5]), balance(fresh[6])) == (3, 0)
        install_alloc(machine, {fresh[6]: AllocAccount(4)})
        assert [balance(address) for address in fresh] == [0] * 5 + [3, 4] + [0] * 93


@pytest.mark.parametrize("read", [False, True], ids=["held", "written"])
def test_a_rolled_back_transaction_leaves_nothing(
    machine: Hypervisor, read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guest undoes it, so that the next one finds all values there."""
    executor, root = EthereumExecutor(machine), machine.root
    executor.simulate(CallMessage(SENDER, COUNTER, Gas(100_000)))
    with machine.trial():
        executor.apply_transaction(sent(0, COUNTER), SENDER)
        if read:
            assert machine.balance(to_filecoin(SENDER)) < RICH
    assert machine.root == root
    monkeypatch.setattr(Requests, "answer", lambda *given: pytest.fail(f"a request: {given[1:]}"))
    result = executor.apply_transaction(sent(0, COUNTER), SENDER)
    assert int.from_bytes(result.logs[0][1].data, "big") == 6


def test_frames_count_as_steps_of_a_short_execution(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code without jumps: a short execution has 10,000 steps, of which a frame takes 16."""
    session, call = session_of(machine), assemble(f"0 0 0 0 0 {word(COUNTER)} GAS CALL POP ")
    machine.short = ShortExecutions()
    monkeypatch.setattr(machine.short, "check", lambda: None)
    few, many = (EthAddress(bytes([number]) * 20) for number in (0xD1, 0xD2))
    install_alloc(machine, {few: AllocAccount(0, 1, call * 600), many: AllocAccount(0, 1, call * 650)})
    assert session.transact(sent(0, few, gas=10_000_000), SENDER, 0) is not None
    with pytest.raises(LongExecution):
        session.transact(sent(0, many, gas=10_000_000), SENDER, 0)


def test_what_was_sent_before_a_rolled_back_transaction_stays(machine: Hypervisor) -> None:
    executor = EthereumExecutor(machine)
    executor.apply_transaction(sent(0, COUNTER), SENDER)
    with machine.trial():
        executor.apply_transaction(sent(1, COUNTER), SENDER)
    result = executor.apply_transaction(sent(1, COUNTER), SENDER)
    assert int.from_bytes(result.logs[0][1].data, "big") == 7


def test_a_restored_state_begins_another_session(machine: Hypervisor) -> None:
    executor, before = EthereumExecutor(machine), machine.snapshot()
    for _ in range(2):
        result = executor.apply_transaction(sent(0, COUNTER), SENDER)
        assert int.from_bytes(result.logs[0][1].data, "big") == 6
        machine.restore(before)


def test_a_simulation_writes_nothing_and_keeps_the_session(
    machine: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, writes = EthereumExecutor(machine), machine.state_tree.writes
    for _ in range(2):
        with machine.trial():
            result = executor.simulate(CallMessage(NOBODY, COUNTER, Gas(100_000)))
        assert int.from_bytes(result.return_data[-32:], "big") == 6
        monkeypatch.setattr(Requests, "answer", lambda *given: pytest.fail(f"a request: {given[1:]}"))
    assert machine.state_tree.writes == writes


def test_accounts_are_created_in_the_order_of_the_calls() -> None:
    """Actor IDs are part of the state, so they do not depend on the engine."""
    roots = set()
    for evm in ("fast", "py-evm"):
        with opened(evm) as machine:
            executor = EthereumExecutor(machine)
            executor.apply_transaction(sent(0, None, deployer(assemble(COUNTS))), SENDER)
            executor.apply_transaction(sent(1, PAYER, value=5), SENDER)
            made = executor.apply_transaction(sent(2, MAKER), SENDER)
            executor.apply_transaction(sent(0, create_address(SENDER, 0)), OTHER)
            assert made.logs[0][0] == create_address(MAKER, 1)
            roots.add(machine.root)
    assert len(roots) == 1


FIRST, SECOND = EthAddress(b"\x51" * 20), EthAddress(b"\x52" * 20)


def pays(address: EthAddress, value: int) -> str:
    return f"0 0 0 0 {value} {word(address)} GAS CALL"


@pytest.mark.parametrize(
    ("code", "coinbase"),
    [
        pytest.param(f"{pays(FIRST, 0)} {pays(SECOND, 1)} {pays(FIRST, 1)}", COINBASE, id="calls"),
        pytest.param(f"{pays(FIRST, 0)} {pays(SECOND, 1)}", FIRST, id="coinbase"),
        pytest.param(
            f"{create(assemble(f'{word(FIRST)} SELFDESTRUCT'), 0)} {pays(SECOND, 1)} {pays(FIRST, 1)}",
            COINBASE,
            id="selfdestruct",
        ),
    ],
)
def test_a_touched_address_gets_its_id_when_it_is_paid(code: str, coinbase: EthAddress) -> None:
    roots = set()
    for evm in ("fast", "py-evm"):
        with opened(evm) as machine:
            block = EthereumBlock("Osaka", coinbase, filecoin_addresses=False)
            machine.advance(block=block, base_fee=TokenAmount(BASE_FEE))
            install_alloc(machine, {TAKEN: AllocAccount(2, 1, assemble(code))})
            assert EthereumExecutor(machine).apply_transaction(sent(0, TAKEN), SENDER).success
            assert holds(machine)
            roots.add(machine.root)
    assert len(roots) == 1


@pytest.mark.parametrize(
    ("before", "after"), [("TangerineWhistle", "SpuriousDragon"), ("Cancun", "Prague"), ("Prague", "Cancun")]
)
def test_a_fork_begins_within_a_session(before: str, after: str) -> None:
    """An empty account is removed from SpuriousDragon on (EIP-161), and 0xef0100... delegates in Prague (EIP-7702)."""
    delegation = bytes.fromhex("ef0100") + COUNTER
    kind = LEGACY if before == "TangerineWhistle" else DYNAMIC_FEE
    outcomes = []
    for evm in ("fast", "py-evm"):
        results = []
        with opened(evm) as machine:
            install_alloc(machine, {TAKEN: AllocAccount(0, 1, delegation)})
            for nonce, fork in enumerate((before, before, after, after)):
                block = EthereumBlock(fork, COINBASE, filecoin_addresses=False)
                machine.advance(block=block, base_fee=TokenAmount(0))
                to = NOBODY if kind == LEGACY else TAKEN
                sending = replace(sent(nonce, to), type=kind)
                results.append(outcome(EthereumExecutor(machine).apply_transaction(sending, SENDER)))
            outcomes.append((results, machine.root))
    assert outcomes[0] == outcomes[1]


def test_the_answer_for_a_precompile_that_cannot_be_paid_is_not_given_to_another(machine: Hypervisor) -> None:
    """ECRECOVER, which Python runs, costs 3,000 gas; a pairing of 64 bytes fails and costs all that it is given."""
    unpaid = assemble(f"0 0 0 0 {RICH} 1 GAS CALL")
    fails = assemble("0 0 64 0 8 100000 STATICCALL 0 MSTORE 32 0 RETURN")
    install_alloc(machine, {TAKEN: AllocAccount(0, 1, unpaid), PAIRING: AllocAccount(0, 1, fails)})
    executor = EthereumExecutor(machine)
    results = [
        executor.apply_transaction(sent(nonce, to), SENDER) for nonce, to in enumerate((PAIRING, TAKEN, PAIRING))
    ]
    assert [unwrap_return(results[at].output) for at in (0, 2)] == [bytes(32)] * 2
    assert results[0].gas_used == results[2].gas_used


def test_a_hot_loop_is_compiled_and_stays_in_the_session(machine: Hypervisor) -> None:
    loops, rounds = EthAddress(b"\xd1" * 20), 30_000
    code = assemble(f"0 loop: 1 ADD DUP1 {rounds} GT @loop JUMPI 0 MSTORE 32 0 RETURN")
    install_alloc(machine, {loops: AllocAccount(0, 1, code)})
    machine.flush()
    executor, session = EthereumExecutor(machine), session_of(machine)
    used = 21_000 + 2 + rounds * (1 + 6 * 3 + 10) + (2 + 3 + 3) + (3 + 2)
    end, nonce, is_compiled = time.monotonic() + 30 * slowness(), 0, False
    while not is_compiled:
        assert time.monotonic() < end, "the loop was not compiled"
        is_compiled = session.held.guest is not None and session.held.guest._table.compiled != []
        for gas in (used, used - 1):
            result = executor.apply_transaction(sent(nonce, loops, gas=gas), SENDER)
            assert (result.success, result.gas_used, holds(machine)) == (gas == used, gas, True)
            nonce += 1


def failing(monkeypatch: pytest.MonkeyPatch, command: int) -> None:
    """Make a command of the guest fail."""
    call = Guest.call

    def failed(self: Guest, number: int, data: bytes = b"") -> int:
        if number == command:
            raise GuestFailure("unreachable")
        return call(self, number, data)

    monkeypatch.setattr(Guest, "call", failed)


@pytest.mark.parametrize("command", [Command.TRANSACT, Command.ANSWER], ids=["at the start", "after a request"])
def test_a_guest_that_fails_is_replaced(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch, command: int) -> None:
    executor = EthereumExecutor(machine)
    with monkeypatch.context() as patch:
        failing(patch, command)
        with pytest.raises(Fatal, match="the EVM engine failed: unreachable"):
            executor.apply_transaction(sent(0, COUNTER), SENDER)
        assert not holds(machine)
    assert executor.apply_transaction(sent(0, COUNTER), SENDER).success
    assert holds(machine)


def test_a_guest_that_fails_with_changes_ends_the_block(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor, root = EthereumExecutor(machine), machine.root
    executor.apply_transaction(sent(0, COUNTER), SENDER)
    with monkeypatch.context() as patch:
        failing(patch, Command.TRANSACT)
        with pytest.raises(Fatal, match="the block's earlier transactions are lost"):
            executor.apply_transaction(sent(1, COUNTER), SENDER)
    assert machine.root == root
    assert executor.apply_transaction(sent(0, COUNTER), SENDER).success


def test_a_guest_with_too_much_memory_is_replaced(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor, session = EthereumExecutor(machine), session_of(machine)
    executor.apply_transaction(sent(0, COUNTER), SENDER)
    used = session.held.guest
    monkeypatch.setattr("runtimes.evm.revm.held._MAX_MEMORY", 1 << 16)
    with machine.trial():
        executor.apply_transaction(sent(1, COUNTER), SENDER)
        assert session.held.guest is not used
        executor.apply_transaction(sent(2, COUNTER), SENDER)
    result = executor.apply_transaction(sent(1, COUNTER), SENDER)
    assert int.from_bytes(result.logs[0][1].data, "big") == 7


def test_an_error_while_changes_are_written_loses_nothing(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = EthereumExecutor(machine)
    executor.apply_transaction(sent(0, COUNTER), SENDER)
    with monkeypatch.context() as patch:
        patch.setattr(StateTree, "credit", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            machine.balance(to_filecoin(SENDER))
    assert holds(machine)
    executor.apply_transaction(sent(1, COUNTER), SENDER)
    paid = RICH - machine.balance(to_filecoin(SENDER))
    assert dict(read_alloc_of(machine))[COUNTER].storage == {0: 7}
    assert machine.state_tree.existing(BURNT_FUNDS_ACTOR).balance * PRICE == paid * BASE_FEE


@pytest.mark.parametrize(
    "where", ["requests.Requests.answer", "session.read_end", Command.TRANSACT, Command.KEEP], ids=str
)
def test_an_interrupted_transaction_has_no_effect(
    machine: Hypervisor, monkeypatch: pytest.MonkeyPatch, where: str | int
) -> None:
    """It is interrupted before it begins, while it runs, after it has ended, and before its changes are kept."""
    executor, call = EthereumExecutor(machine), Guest.call
    executor.apply_transaction(sent(0, OTHER, value=1), SENDER)

    def interrupted(*given: Any) -> int:
        if isinstance(where, int) and given[1] != where:
            return call(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        place = "guest.Guest.call" if isinstance(where, int) else where
        patch.setattr(f"runtimes.evm.revm.{place}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.apply_transaction(sent(1, COUNTER), SENDER)
    result = executor.apply_transaction(sent(1, COUNTER), SENDER)
    assert int.from_bytes(result.logs[0][1].data, "big") == 6
    assert machine.balance(to_filecoin(OTHER)) == RICH + 1
    paid = RICH - 1 - machine.balance(to_filecoin(SENDER))
    assert machine.state_tree.existing(BURNT_FUNDS_ACTOR).balance * PRICE == paid * BASE_FEE


def test_a_guest_that_cannot_undo_is_replaced(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor, root = EthereumExecutor(machine), machine.root
    with monkeypatch.context() as patch:
        failing(patch, Command.UNDO)
        with machine.trial():
            executor.apply_transaction(sent(0, COUNTER), SENDER)
    assert machine.root == root
    assert executor.apply_transaction(sent(0, COUNTER), SENDER).success


def test_an_actor_that_was_undone_leaves_no_address(machine: Hypervisor) -> None:
    """The next contract gets its ID."""
    executor, before = EthereumExecutor(machine), machine.snapshot()
    emitters = []
    for sender in (SENDER, OTHER):
        machine.restore(before)
        made = executor.apply_transaction(sent(0, None, assemble("0 0 LOG0")), sender)
        emitters.append(made.events[0].emitter)
        assert executor.address_of(emitters[-1]) == create_address(sender, 0)
    assert emitters[0] == emitters[1]


def test_transactions_need_a_block_with_randomness() -> None:
    class NoRandomness(DevelopmentExterns):
        def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
            raise ExternError(f"there is no randomness of epoch {epoch}")

    with Hypervisor.open(rules="ethereum", externs=NoRandomness()) as machine:
        install_alloc(machine, {SENDER: AllocAccount(RICH), COUNTER: AllocAccount(0, 1, assemble(COUNTS))})
        with pytest.raises(InvalidInput, match="the block has no randomness, and its machine has none"):
            EthereumExecutor(machine).apply_transaction(sent(0, COUNTER), SENDER)
        machine.advance(block=EthereumBlock("Osaka", randomness=bytes(32)))
        assert EthereumExecutor(machine).apply_transaction(sent(0, COUNTER), SENDER).success


@pytest.mark.parametrize("base_fee", [(1 << 64) - 1, 1 << 64])
def test_a_base_fee_has_64_bits(machine: Hypervisor, base_fee: int) -> None:
    """revm has this limit; a transaction that pays such a fee needs funds below 128 bits."""
    machine.advance(base_fee=TokenAmount(base_fee))
    executor, free = EthereumExecutor(machine), CallMessage(SENDER, COUNTER, Gas(100_000))
    if base_fee < 1 << 64:
        assert executor.simulate(free).exit_code == 0
    else:
        with pytest.raises(InvalidInput, match="base fee 18446744073709551616, blob base fee 1, slot 0"):
            executor.simulate(CallMessage(SENDER, COUNTER, Gas(100_000), max_fee=base_fee))


def outcome(result: TransactionResult) -> tuple[bool, int, int]:
    return result.success, result.gas_used, result.exit_code


@pytest.mark.parametrize("fork", ["Frontier", "TangerineWhistle", "SpuriousDragon", "Istanbul", "London", "Prague"])
def test_many_transactions_of_a_block_leave_the_same_state_on_both_engines(fork: str) -> None:
    """Accounts are created, emptied, removed and created again within one block; some transactions are tried before."""
    salted = f"{create(assemble('ADDRESS BALANCE 0 SSTORE CALLER SELFDESTRUCT'), 0, salt=1)} POP"
    contracts = {
        EthAddress(bytes([0xD0 + number]) * 20): AllocAccount(50, 1, assemble(code), {1: 1})
        for number, code in enumerate((
            salted if fork not in ("Frontier", "TangerineWhistle", "SpuriousDragon") else "1 1 SSTORE",
            f"{word(NOBODY)} SELFDESTRUCT",
            f"0 0 0 0 0 {word(NOBODY)} 50000 CALL 0 SSTORE",
            f"0 0 0 0 1 {word(EthAddress(bytes([0xD1]) * 20))} 50000 CALL 0 SSTORE 1 SLOAD 2 SSTORE",
            f"{create(b'', 1)} BALANCE 0 SSTORE 0 1 SSTORE",
            f"0 0 0 0 1 {word(EthAddress((3).to_bytes(20, 'big')))} 100 CALL INVALID",
            f"{word(NOBODY)} BALANCE {word(EthAddress(bytes([0xD1]) * 20))} EXTCODESIZE ADD 3 SSTORE",
        ))
    }  # fmt: skip
    rng = Random(fork)
    targets = [rng.choice([*contracts, NOBODY, COINBASE, SENDER]) for _ in range(40)]
    values = [rng.choice([0, 0, 1]) for _ in targets]
    tried = [rng.choice([0, 0, 1, 2]) for _ in targets]
    fee = 0 if fork not in ("London", "Prague") else BASE_FEE
    states = []
    for evm in ("fast", "py-evm"):
        with opened(evm) as machine:
            block = EthereumBlock(fork, COINBASE, filecoin_addresses=False)
            machine.advance(block=block, base_fee=TokenAmount(fee))
            install_alloc(machine, contracts)
            machine.flush()
            executor = EthereumExecutor(machine)
            results = []
            for nonce, (to, value) in enumerate(zip(targets, values, strict=True)):
                kind = LEGACY if fee == 0 else DYNAMIC_FEE
                coming = [replace(sent(nonce + step, to, value=value), type=kind) for step in range(tried[nonce] + 1)]
                with machine.trial():
                    results += [outcome(executor.apply_transaction(each, SENDER)) for each in coming[1:] and coming]
                results.append(outcome(executor.apply_transaction(coming[0], SENDER)))
            states.append((results, machine.root, dict(read_alloc_of(machine))))
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("fork", "code", "gas"),
    [
        ("Constantinople", "60006000556001600055", 20_212),  # the first rows of EIP-1283's table
        ("Constantinople", "60006000556000600055", 412),
        ("Petersburg", "60006000556000600055", 10_012),
        ("Berlin+3855+7939", "5f1e", 2 + 5),
        ("Osaka+8024", "5f" * 17 + "e680", 17 * 2 + 3),
        ("Osaka", "5fe680", 200_000 - 21_000),
    ],
)
def test_fork_with_other_opcodes_and_prices_runs_in_a_session(fork: str, code: str, gas: int) -> None:
    with Hypervisor.open(rules="ethereum") as machine:
        machine.advance(block=EthereumBlock(fork, COINBASE, filecoin_addresses=False), base_fee=TokenAmount(0))
        install_alloc(machine, {SENDER: AllocAccount(RICH), TOKEN: AllocAccount(0, 1, bytes.fromhex(code))})
        session = session_of(machine)
        call = Transaction(LEGACY, None, 0, TOKEN, 0, b"", 200_000, PRICE, PRICE)
        result = session.transact(call, SENDER, Mode.KEEP | Mode.CHECKED | Mode.PAID)
        assert result is not None
        assert result.gas_used == 21_000 + gas


@pytest.mark.parametrize(("is_capped", "gas"), [(False, 30_000_000), (True, 1 << 24)])
def test_only_capped_simulations_fill_the_reservoir_of_state_gas(is_capped: bool, gas: int) -> None:
    """go-ethereum 1.17.10: `eth_call` has its whole limit for execution (`SkipExecutionGasCapCheck`)."""
    with Hypervisor.open(rules="ethereum") as machine:
        machine.advance(block=EthereumBlock("Amsterdam", COINBASE, filecoin_addresses=False))
        install_alloc(machine, {TOKEN: AllocAccount(0, 1, assemble("GAS 0 MSTORE 32 0 RETURN"))})
        call = CallMessage(sender=SENDER, to=TOKEN, gas_limit=30_000_000, is_capped=is_capped)
        found = EthereumExecutor(machine).simulate(call)
        assert int.from_bytes(unwrap_return(found.return_data), "big") == gas - 15_000 - 2


PAYS_AND_REVERTS = f"0 0 0 0 7 {word(masked_id(ActorID(PUPPETS[0])))} GAS CALL POP 32 0 REVERT"


def native_calls() -> Iterator[tuple[str, int]]:
    """Yield the code of contracts that meet native actors, and the gas of a call."""
    puppet_, missing, account = (word(masked_id(ActorID(actor))) for actor in (PUPPETS[0], 999_999, 99))
    lookup = word(EthAddress(LOOKUP.to_bytes(20, "big")))

    def call(to: str, value: int = 0, kind: str = "CALL", gas: str = "GAS") -> str:
        return f"0 0 0 0 {f'{value} ' if kind == 'CALL' else ''}{to} {gas} {kind}"

    for code in (
        f"{puppet_} BALANCE 1 SSTORE {puppet_} EXTCODEHASH 2 SSTORE 32 0 0 {puppet_} EXTCODECOPY 0 MLOAD 3 SSTORE",
        f"{lookup} EXTCODEHASH 1 SSTORE {call(lookup, 3)} 2 SSTORE {lookup} BALANCE 3 SSTORE",
        f"{missing} EXTCODEHASH 1 SSTORE {call(missing, 5)} 2 SSTORE {missing} BALANCE 3 SSTORE",
        f"{account} BALANCE 1 SSTORE {call(account, 2)} 2 SSTORE {account} BALANCE 3 SSTORE",
        f"{puppet_} SELFDESTRUCT",
        f"{missing} SELFDESTRUCT",
        f"{call(puppet_, 0, 'DELEGATECALL', '5000')} 1 SSTORE {call(puppet_, 0, 'STATICCALL')} 2 SSTORE",
        f"{call(puppet_, 10**9)} 1 SSTORE {call(puppet_, 3, gas='0')} 2 SSTORE GAS 3 SSTORE",
        f"{call(word(PAYER))} 1 SSTORE {puppet_} BALANCE 2 SSTORE {call(word(PAYER))} 3 SSTORE",
    ):
        yield code, 300_000
        yield code, 60_000


@pytest.mark.parametrize("tracer", [None, Stepping])
def test_calls_of_native_actors_have_the_same_effects_on_both_engines(tracer: type[Stepping] | None) -> None:
    """Random trees of calls between contracts and native actors, and what contracts read of these."""
    states = []
    for evm in ("fast", "py-evm"):
        found: list[object] = []
        with opened(evm) as machine:
            machine.advance(block=EthereumBlock("Osaka", COINBASE, gas_limit=1 << 60), base_fee=TokenAmount(BASE_FEE))
            for actor in PUPPETS:
                install_actor(machine, puppet(), actor, FUNDS)
            before = machine.snapshot()
            payer = AllocAccount(RICH, 1, assemble(PAYS_AND_REVERTS))
            runs = [
                ({COUNTER: AllocAccount(50, 1, assemble(code), {1: 7}), PAYER: payer}, CallOf(SENDER, COUNTER), gas)
                for code, gas in native_calls()
            ]
            for number in range(60):
                tree = Tree(61, number)
                runs += [(tree.accounts, call, (3_000_000, 100_000)[number % 4 == 3]) for call in tree.case.calls[:1]]
            for accounts, call, gas in runs:
                machine.restore(before)
                install_alloc(machine, {**accounts, call.sender: AllocAccount(RICH)})
                transaction = sent(0, call.to, call.data, call.value, gas)
                machine.tracer = trace = None if tracer is None else tracer()
                made = EthereumExecutor(machine).apply_transaction(transaction, call.sender)
                machine.tracer = None
                found.append((outcome(made), made.output, made.logs, made.events, machine.flush()))
                if trace is not None:  # the payment of a precompile has the gas of its call, or of the frame
                    calls = [(start._replace(gas_available=0), *rest) for start, *rest in calls_of(trace)]
                    found.append((calls, instructions_of(trace)))
        states.append(found)
    assert states[0] == states[1]


def test_messages_of_all_kinds_have_the_same_effects_on_both_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sends, methods of actors, implicit messages, and messages of contracts at another nonce than their own."""
    script = Script()
    script.send(to_filecoin(COUNTER), INVOKE_EVM, None, 0, 1)
    id_, contract, nowhere = Address.id(ActorID(PUPPETS[0])), to_filecoin(COUNTER), to_filecoin(NOBODY)
    sent_ = [
        (kind, Message(to, to_filecoin(sender), nonce, TokenAmount(value), MethodNumber(method), params, Gas(gas)))
        for to, method, params in (
            (id_, 1 << 24, script.wrapped()), (contract, 1024, b""), (contract, 3, b""), (nowhere, 0, b""),
            (Address.id(ActorID(99)), 0, b""), (contract, INVOKE_EVM, b""), (id_, INVOKE_EVM, b""),
        )
        for kind, sender, nonce in (("apply", SENDER, 0), ("apply_implicit", SENDER, 4), ("apply_unpaid", PAYER, 7))
        for value, gas in ((3, 3_000_000), (0, 30_000))
    ]  # fmt: skip
    created = byte_string(assemble("CALLER BALANCE POP 0 0 LOG0 0x600160 0 MSTORE 3 29 RETURN"))
    manager, create = Address.id(EAM_ACTOR), MethodNumber(CREATE_EXTERNAL_METHOD)
    sent_ += [
        (kind, Message(manager, to_filecoin(SENDER), nonce, TokenAmount(3), create, created, Gas(gas)))
        for kind, nonce in (("apply", 0), ("apply_implicit", 4), ("apply_implicit", 0), ("apply_unpaid", 7))
        for gas in (3_000_000, 54_000)
    ]  # fmt: skip
    states = []
    for evm in ("fast", "py-evm"):
        found: list[object] = []
        with opened(evm) as machine:
            machine.advance(block=EthereumBlock("Osaka", COINBASE), base_fee=TokenAmount(0))
            install_actor(machine, puppet(), PUPPETS[0], FUNDS)
            before = machine.snapshot()
            for kind, message in sent_:
                machine.restore(before)
                execution = machine.executor if kind == "apply_unpaid" else machine
                applied = getattr(execution, kind)(message)
                found.append((applied.receipt, applied.events, applied.block_gas, machine.flush()))
        states.append(found)
    assert states[0] == states[1]
