"""Contracts with invalid state: each method ends with the official actor's exit code.

No actor can write such a state, but an imported file could contain one. Every row applies to this project's runtime
and, if the test data are available, to the official EVM actor.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor.bundles.bundle import Bundle
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import SYSTEM_ACTOR, MethodNumber
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import decode, encode, link
from store.trees.kamt import EMPTY_KAMT
from tests.conftest import data_file, evms
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

CODE = assemble("CALLDATASIZE @load JUMPI 7 1 SSTORE STOP load: 1 SLOAD 0 MSTORE 32 0 RETURN")
BYTECODE, HASH, STORAGE, TRANSIENT, NONCE, TOMBSTONE = range(6)
INVOKE, HANDLE, BYTECODE_METHOD, GET_BYTECODE_HASH, GET_STORAGE_AT = int(INVOKE_EVM), 5000, 3, 4, 5

Put = Callable[[object], Any]
"""Stores an object as a block and returns its link."""


class World:
    """A contract whose state can be replaced."""

    def __init__(self, machine: Hypervisor) -> None:
        self.chain = Chain(machine)
        self.contract: EthAddress = self.chain.deploy(CODE)

    def put(self, data: bytes, codec: int = DAG_CBOR) -> Cid:
        cid = cid_of(data, codec)
        self.chain.machine.store.put(cid, data)
        return cid

    def exit_code(self, change: Callable[[list[Any], Put], object], method: int, params: bytes) -> int:
        """Return the exit code of a contract's method with a changed state; everything is rolled back."""
        machine = self.chain.machine
        with machine.trial():
            address = to_filecoin(self.contract)
            actor, number = machine.actor(address), machine.state_tree.lookup_id(address)
            assert actor is not None
            assert number is not None
            state = decode(machine.store.get(actor.head))
            changed = change(state, lambda value: link(self.put(encode(value))))
            head = changed if isinstance(changed, bytes) else encode(changed)
            codec = RAW if change is state_of_another_codec else DAG_CBOR
            machine.state_tree.set_actor(number, replace(actor, head=self.put(head, codec)))
            system = Address.id(SYSTEM_ACTOR)
            message = Message(address, system, method=MethodNumber(method), params=params)
            result = machine.apply_implicit(message)
        assert result.fatal is None
        return result.exit_code


def _with(field: int, value: object) -> Callable[[list[Any], Put], object]:
    return lambda state, _put: [*state[:field], value, *state[field + 1 :]]


def _with_block(field: int, block: object) -> Callable[[list[Any], Put], object]:
    return lambda state, put: [*state[:field], put(block), *state[field + 1 :]]


def _with_child(state: list[Any], put: Put) -> object:
    """Return a state whose root is a node with an invalid child."""
    root = put([b"\x01", [{"l": [put("no node"), 245, bytes(31)]}]])
    return [*state[:STORAGE], root, *state[STORAGE + 1 :]]


def state_of_another_codec(state: list[Any], _put: Put) -> object:
    """Return a state with the right bytes in a block of codec raw."""
    return state


UNREADABLE: dict[str, Callable[[list[Any], Put], object]] = {
    "no tuple": lambda _state, _put: "state",
    "a tuple of five, as before transient storage": lambda state, _put: [*state[:TRANSIENT], *state[NONCE:]],
    "a tuple of seven": lambda state, _put: [*state, None],
    "no code": _with(BYTECODE, b"code"),
    "a short hash": _with(HASH, bytes(31)),
    "a boolean as nonce": _with(NONCE, True),
    "a negative nonce": _with(NONCE, -1),
    "a text as nonce": _with(NONCE, "1"),
    "a boolean in a lifespan": _with(TRANSIENT, [link(EMPTY_KAMT), [True, 0]]),
    "a negative number in a tombstone": _with(TOMBSTONE, [1, -1]),
    "a boolean as tombstone": _with(TOMBSTONE, False),
    "another codec": state_of_another_codec,
}
NO_TREE: dict[str, Callable[[list[Any], Put], object]] = {
    "slots that are no tree": _with_block(STORAGE, "slots"),
    "slots that contradict their bitfield": _with_block(STORAGE, [b"\x01", []]),
    "a key of 33 bytes": _with_block(STORAGE, [b"\x01", [{"v": [[b"\x01" * 33, b"\x01"]]}]]),
    "raw bytes as slots": _with(STORAGE, link(cid_of(b"\x82\x40\x80", RAW))),
}
READABLE: dict[str, Callable[[list[Any], Put], object]] = {
    "nothing changed": lambda state, _put: state,
    "the highest nonce": _with(NONCE, (1 << 64) - 1),
    "code in a block of CBOR": _with_block(BYTECODE, b"\x00"),
    "transient slots of an older message that are no tree": lambda state, put: [
        *state[:TRANSIENT], [put("slots"), [100, 0]], *state[TRANSIENT + 1 :]
    ],
}  # fmt: skip
NO_CODE: dict[str, Callable[[list[Any], Put], object]] = {
    "code in a block that cannot be opened": _with(BYTECODE, link(cid_of(CODE, DAG_CBOR))),
}

ROWS: list[tuple[str, Callable[[list[Any], Put], object], int, bytes, int]] = [
    *((name, change, INVOKE, b"", 23) for name, change in (UNREADABLE | NO_TREE).items()),
    *((name, change, HANDLE, b"", 23) for name, change in (UNREADABLE | NO_TREE).items()),
    *((name, change, BYTECODE_METHOD, b"", 16) for name, change in UNREADABLE.items()),
    *((name, change, GET_BYTECODE_HASH, b"", 16) for name, change in UNREADABLE.items()),
    *((name, change, BYTECODE_METHOD, b"", 0) for name, change in (NO_TREE | READABLE).items()),
    *((name, change, GET_STORAGE_AT, b"\x81\x41\x01", 21) for name, change in UNREADABLE.items()),
    *((name, change, GET_STORAGE_AT, b"\x81\x41\x01", 20) for name, change in NO_TREE.items()),
    *((name, change, INVOKE, b"", 0) for name, change in READABLE.items()),
    *((name, change, INVOKE, b"", 17) for name, change in NO_CODE.items()),
    ("a broken node below the root", _with_child, INVOKE, b"", 20),
    ("a broken node below the root", _with_child, INVOKE, b"\x41\x01", 20),
    ("a broken node below the root", _with_child, GET_STORAGE_AT, b"\x81\x41\x01", 24),
    ("a broken node below the root", _with_child, BYTECODE_METHOD, b"", 0),
]


@pytest.fixture(scope="module", params=evms())
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    bundle = Bundle.open(data_file("bundles/v18-devnet.car")) if request.param == "official" else None
    with open_machine(bundle=bundle, evm=request.param) as machine:
        yield World(machine)


@pytest.mark.parametrize(
    ("change", "method", "params", "expected"),
    [
        pytest.param(change, method, params, expected, id=f"{name}-{method}-{params.hex()}")
        for name, change, method, params, expected in ROWS
    ],
)
def test_a_broken_state_ends_with_the_official_actors_exit_code(
    world: World, change: Callable[[list[Any], Put], object], method: int, params: bytes, expected: int
) -> None:
    world.put(CODE, DAG_CBOR)
    world.put(b"\x82\x40\x80", RAW)
    assert world.exit_code(change, method, params) == expected
