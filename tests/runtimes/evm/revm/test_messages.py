"""Messages and inner transactions under Ethereum's rules.

- Filecoin messages under Ethereum's rules: forbidden operations on contracts and accounts of others.
- Accounts of a message around inner transactions; expected results by hand from EIP-2929 and EIP-3529.
- The cache of contracts across messages only changes speed.

Expected: the results of executors without a cache.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state import state_tree
from hypervisor.types import EAM_ACTOR, METHOD_CONSTRUCTOR, Gas, MethodNumber
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.revm import accounts
from runtimes.evm.revm.accounts import ContractCache
from runtimes.evm.revm.executor import EthereumExecutor
from store.blocks.memory import MemoryStore
from store.links import reachable
from store.trees.kamt import Kamt
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.revm.test_session_calls import CONTRACT, SENDER, machine

MESSAGE_SENDER, TARGET, OWNED = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC))
OTHER = EthAddress(bytes([0x77]) * 20)
RUNTIME = assemble("1 0 MSTORE 32 0 RETURN")
TO_THE_SENDER = assemble("CALLER SELFDESTRUCT")
PRE = {
    MESSAGE_SENDER: AllocAccount(10**20),
    TARGET: AllocAccount(10**18, 1, RUNTIME, {5: 7}),
    OWNED: AllocAccount(10**18),
}


@pytest.fixture
def message_machine() -> Hypervisor:
    machine = Hypervisor.open(rules="ethereum")
    install_alloc(machine, PRE)
    return machine


def send(machine: Hypervisor, to: Address, method: int, params: bytes) -> ApplyResult:
    message = Message(
        to=to, from_=to_filecoin(MESSAGE_SENDER), method=MethodNumber(method), params=params, gas_limit=Gas(1_000_000)
    )
    return machine.apply(message)


@pytest.mark.parametrize("init_code", [deployer(TO_THE_SENDER), TO_THE_SENDER], ids=["new code", "pays itself out"])
@pytest.mark.parametrize("by_number", [False, True], ids=["f410", "f0"])
@pytest.mark.parametrize("whose", [TARGET, OWNED], ids=["contract", "account"])
def test_message_cannot_construct_existing_actor(
    message_machine: Hypervisor, whose: EthAddress, by_number: bool, init_code: bytes
) -> None:
    to = to_filecoin(whose)
    if by_number:
        actor = message_machine.state_tree.lookup_id(to)
        assert actor is not None
        to = Address.id(actor)
    result = send(message_machine, to, METHOD_CONSTRUCTOR, init_code)
    if whose == TARGET:  # the official EVM actor's answer to everybody but the init actor
        assert result.exit_code == ExitCode.USR_FORBIDDEN
    after = dict(read_alloc(message_machine))
    assert {address: after[address] for address in (TARGET, OWNED)} == {
        address: PRE[address] for address in (TARGET, OWNED)
    }


def test_message_cannot_create_contract_at_chosen_address(message_machine: Hypervisor) -> None:
    free = EthAddress(bytes([0xDD]) * 20)
    send(message_machine, to_filecoin(free), METHOD_CONSTRUCTOR, deployer(RUNTIME))
    assert free not in dict(read_alloc(message_machine))


def test_a_message_to_the_address_manager_makes_a_contract(message_machine: Hypervisor) -> None:
    result = send(message_machine, Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(deployer(RUNTIME)))
    assert result.exit_code == 0, result.message
    created = CreateReturn.decode(result.return_data).eth_address
    assert dict(read_alloc(message_machine))[created] == AllocAccount(0, 1, RUNTIME)


@pytest.mark.parametrize("code", [RUNTIME, b""], ids=["contract", "account"])
def test_implicit_creation_leaves_the_nonce_of_its_sender(message_machine: Hypervisor, code: bytes) -> None:
    install_alloc(message_machine, {OTHER: AllocAccount(5, 3, code)})
    message = Message(
        Address.id(EAM_ACTOR),
        to_filecoin(OTHER),
        method=MethodNumber(CREATE_EXTERNAL_METHOD),
        params=byte_string(deployer(RUNTIME)),
        gas_limit=Gas(1_000_000),
    )
    result = message_machine.apply_implicit(message)
    assert result.exit_code == 0, result.message
    created = CreateReturn.decode(result.return_data).eth_address
    after = dict(read_alloc(message_machine))
    assert (after[OTHER], after[created].code) == (AllocAccount(5, 3, code), RUNTIME)


COUNTS = "0 CALLDATALOAD SLOAD 32 CALLDATALOAD ADD 0 CALLDATALOAD SSTORE"
"""Code that adds the second word to the slot named by the first."""


def add(executor: EthereumExecutor, slot: int, number: int) -> None:
    """Execute one transaction with this calldata."""
    machine = executor._machine
    actor = executor._accounts().find(SENDER)
    nonce = 0 if actor is None else executor._accounts().nonce(actor)
    data = slot.to_bytes(32, "big") + (number % (1 << 256)).to_bytes(32, "big")
    transaction = Transaction(DYNAMIC_FEE, None, nonce, CONTRACT, 0, data, 1_000_000, 0, 0)
    assert executor.apply_transaction(transaction, SENDER).success, machine.root


Step = Callable[[Hypervisor, Callable[[], EthereumExecutor]], None]


def steps(drawn: random.Random) -> list[Step]:
    """Execute kept and reverted transactions (by trials and by restores) between flushes."""

    def stays(numbers: tuple[int, int]) -> Step:
        return lambda _, executor: add(executor(), *numbers)

    def is_tried(pairs: list[tuple[int, int]]) -> Step:
        def tried(made: Hypervisor, executor: Callable[[], EthereumExecutor]) -> None:
            with made.trial():
                for pair in pairs:
                    add(executor(), *pair)

        return tried

    def goes_back(pair: tuple[int, int]) -> Step:
        def back(made: Hypervisor, executor: Callable[[], EthereumExecutor]) -> None:
            before = made.snapshot()
            add(executor(), *pair)
            _ = made.root
            made.restore(before)

        return back

    def flushes(made: Hypervisor, _: Callable[[], EthereumExecutor]) -> None:
        made.flush()

    found: list[Step] = []
    for _ in range(60):
        pair = drawn.randrange(40) * drawn.choice((1, 1 << 70)), drawn.choice((1, 2, -1, -2))
        kind = drawn.randrange(5)
        if kind < 2:
            found += [is_tried([pair] * drawn.randint(1, 2)), stays(pair)] if kind else [stays(pair)]
        elif kind == 2:
            found.append(is_tried([pair, (pair[0], 1)]))
        elif kind == 3:
            found += [goes_back(pair), stays(pair)]
        else:
            found.append(flushes)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "most_nodes"), [(1, 8192), (2, 8192), (3, 0), (4, 12)])
def test_reused_executor_yields_same_states_as_new_executors(
    seed: int, most_nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "_MAX_NODES", most_nodes)
    with machine(COUNTS) as made, machine(COUNTS) as plain:
        kept = EthereumExecutor(made)
        for step in steps(random.Random(seed)):
            step(made, lambda: kept)
            step(plain, lambda: EthereumExecutor(plain))
            assert made.root == plain.root
            reachable(made.store, [made.root])  # BlockNotFound where a block was taken to be there
        made.flush()
        assert isinstance(made.base, MemoryStore)
        reachable(made.base, [made.root])


def test_the_storage_of_the_last_message_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Kamt] = []

    class Watched(Kamt):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            opened.append(self)

    monkeypatch.setattr(state_tree, "Kamt", Watched)
    with machine(COUNTS) as made:
        executor = EthereumExecutor(made)
        add(executor, 5, 1)
        made.flush()
        opened.clear()
        add(executor, 6, 1)
        made.flush()
        assert not opened
        made.restore(made.snapshot())
        add(executor, 7, 1)
        assert not opened


def test_little_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtimes.evm.revm.accounts._MAX_NODES", 100)
    known, store = ContractCache(), MemoryStore()
    for number in range(100):
        tree = Kamt(store)
        tree.set(1, number + 1)
        known.trees[tree.flush()] = tree
    last = next(reversed(known.trees))
    known.trim()
    assert last in known.trees
    assert len(known.trees) == 32
    large = Kamt(store)
    for slot in range(4_000):
        large.set(slot << 200, 1)
    known.trees[large.flush()] = large
    known.trim()
    assert not known.trees
