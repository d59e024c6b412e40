"""A contract and a native actor post messages to each other on a network with the lab `async`, and get receipts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor import Address, fil
from hypervisor.types import ActorID
from localnet import Contract, Network
from store.blockstore import get_object
from store.codec import decode_strict, encode

HERE = Path(__file__).parent
OUTBOX = "0xff00000000000000000000000000000000000014"
POST = (
    "post(bytes to, uint64 method, bytes params, uint256 value, uint64 gasBudget, uint64 expiry, "
    "uint64 receiptMethod, uint64 receiptGas)"
)
RUN, ON_RECEIPT = 2, 4_000_000_000
GAS = 200_000_000
PAID = 10**17
"""Value sent with each post, in attoFIL; more than a message costs, and the outbox refunds the excess."""


class Relays:
    """The same actor in both runtimes, on one network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.contract: Contract = network.deploy(HERE / "Relay.json")
        code = network.machine.install((HERE / "relay.wasm").read_bytes())
        self.native = network.machine.create(code, value=fil(5)).id
        network.chain.keep_changes()
        self.outbox = network.contract(OUTBOX, {"abi": _OUTBOX_ABI, "bytecode": "0x"})
        network.send(self.contract.address, fil(5))

    def address(self) -> bytes:
        return to_filecoin(self.contract.address).to_bytes()

    def post_of_contract(self, to: bytes, method: int, params: bytes, value: int = 0) -> bytes:
        """Return calldata of the outbox's function `post`."""
        expiry = self.network.block_number + 100
        return self.outbox.interface.encode_call("post", to, method, params, value, GAS, expiry, ON_RECEIPT, GAS)

    def post_of_native(self, to: bytes, method: int, params: bytes, value: int = 0) -> bytes:
        """Return the parameters of the outbox's method 2 (Post)."""
        amount = b"\0" + value.to_bytes(16, "big").lstrip(b"\0") if value else b""
        return encode([to, method, params, amount, GAS, self.network.block_number + 100, ON_RECEIPT, GAS])

    def run_of_contract(self, number: int, *posts: bytes, fails: bool = False) -> bytes:
        return self.contract.interface.encode_call("run", number, posts, [PAID] * len(posts), fails)

    def run_of_native(self, number: int, *posts: bytes, fails: bool = False) -> bytes:
        return encode([number, [[post, b"\0" + PAID.to_bytes(8, "big").lstrip(b"\0")] for post in posts], fails])

    def noted_by_native(self) -> tuple[list[int], list[list[object]]]:
        state = self.network.machine.state_tree.get_actor(self.native)
        assert state is not None
        numbers, receipts = get_object(self.network.machine.store, state.head)
        return numbers, receipts


_OUTBOX_ABI = [
    {
        "type": "function",
        "name": "post",
        "stateMutability": "payable",
        "inputs": [{"name": part.split()[1], "type": part.split()[0]} for part in POST[5:-1].split(", ")],
        "outputs": [{"name": "id", "type": "uint64"}],
    }
]


@pytest.fixture
def relays() -> Iterator[Relays]:
    with Network(rules="lab:async") as network:
        yield Relays(network)


def test_a_contract_posts_to_a_native_actor_and_gets_a_receipt(relays: Relays) -> None:
    network, native = relays.network, Address.id(relays.native)
    before = network.balance(native)
    post = relays.post_of_contract(native.to_bytes(), RUN, relays.run_of_native(7), value=5)
    network.send(relays.contract.address, data=relays.run_of_contract(1, post))
    assert relays.contract.call("lastPost") == 1
    assert relays.noted_by_native()[0] == [], "a later epoch"
    network.mine()
    assert relays.noted_by_native()[0] == [7]
    assert network.balance(native) == before + 5
    network.mine()
    number, exit_code, gas_used, returned = decode_strict(relays.contract.call("receipts", 0))
    assert (number, exit_code, returned) == (1, 0, b"")
    assert 0 < gas_used < GAS


def test_a_native_actor_posts_to_a_contract_and_gets_a_receipt(relays: Relays) -> None:
    network, sender = relays.network, relays.network.accounts[0]
    for number, fails in ((3, False), (4, True)):
        call = invoke_params(relays.run_of_contract(number, fails=fails))
        params = relays.run_of_native(9, relays.post_of_native(relays.address(), INVOKE_EVM, call))
        network.send_native(Address.id(relays.native), RUN, params, sender=sender, gas_limit=10**9)
    network.mine()
    assert relays.contract.call("numbers", 0) == 3
    network.mine()
    receipts = relays.noted_by_native()[1]
    assert [receipt[1] for receipt in receipts] == [0, 33], "the second one reverted"


def test_message_to_missing_actor_returns_its_value(relays: Relays) -> None:
    network = relays.network
    before = network.balance(relays.contract.address)
    nobody = Address.id(ActorID(999_999)).to_bytes()
    post = relays.post_of_contract(nobody, 0, b"", value=10**16)
    network.send(relays.contract.address, data=relays.run_of_contract(1, post))
    assert network.balance(relays.contract.address) < before - 10**16
    network.mine(2)
    assert before - network.balance(relays.contract.address) < 10**14, "gas alone"
    assert decode_strict(relays.contract.call("receipts", 0))[1] == 5


def test_messages_cross_runtimes_one_epoch_per_hop(relays: Relays) -> None:
    network, native = relays.network, Address.id(relays.native)
    last = relays.run_of_native(4)
    third = relays.run_of_contract(3, relays.post_of_contract(native.to_bytes(), RUN, last))
    second = relays.run_of_native(2, relays.post_of_native(relays.address(), INVOKE_EVM, invoke_params(third)))
    first = relays.run_of_contract(1, relays.post_of_contract(native.to_bytes(), RUN, second))
    network.send(relays.contract.address, data=first, gas_limit=10**9)
    seen: list[tuple[list[int], list[int]]] = []
    for _ in range(4):
        contract = [relays.contract.call("numbers", place) for place in range(2 if len(seen) > 1 else 1)]
        seen.append((contract, relays.noted_by_native()[0]))
        network.mine()
    assert seen == [([1], []), ([1], [2]), ([1, 3], [2]), ([1, 3], [2, 4])]
