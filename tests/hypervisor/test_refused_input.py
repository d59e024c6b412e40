"""Malformed messages and states: rejected with an error, and without any change."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fvm_hypervisor.cli.demo.scenario import counter_module
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.bundles.manifest import Manifest
from hypervisor.errors import Fatal, InvalidInput, MessageError
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import StateTree
from hypervisor.types import INIT_ACTOR, SYSTEM_ACTOR, ActorID, TokenAmount
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.cid import EMPTY_ARRAY_CID
from store.codec import link
from store.trees.hamt import Hamt

ALICE = Address.delegated(10, b"\xaa" * 20)
BOB = Address.delegated(10, b"\xbb" * 20)
TRANSFER = Message(BOB, ALICE, value=TokenAmount(1), gas_fee_cap=TokenAmount(1), gas_premium=TokenAmount(1))


@pytest.fixture(scope="module")
def machine() -> Hypervisor:
    return Hypervisor.open(genesis=Genesis(accounts={ALICE: TokenAmount(10**30)}))


new_genesis: Any = Genesis
new_machine: Any = Hypervisor.open


@pytest.mark.parametrize(
    ("create", "words"),
    [
        (lambda: new_genesis(network_name=7), "network_name has the type int: expected text"),
        (lambda: new_genesis(accounts=[ALICE]), "accounts has the type list: expected a mapping"),
        (lambda: new_genesis(accounts={str(ALICE): 1}), "an address of accounts has the type str: expected an Address"),
        (lambda: new_genesis(accounts={ALICE: "5"}), "a balance of accounts has the type str: expected a whole number"),
        (lambda: new_machine(7), "path has the type int: expected a path"),
        (lambda: new_machine(bundle=18), "bundle has the type int: expected a Bundle"),
        (lambda: new_machine(network="nv28"), "network has the type str: expected a number, such as 28"),
        (lambda: new_machine(overlay={"transfer": 1}), "overlay has the type dict: expected an Overlay"),
        (lambda: new_machine(rules=1), "rules has the type int: expected a name"),
        (lambda: new_machine(evm=None), "evm has the type NoneType: expected a name: one of py-evm"),
        (lambda: new_machine(genesis={ALICE: 1}), "genesis has the type dict: expected a Genesis"),
        (lambda: new_machine(context=28), "context has the type int: expected a MachineContext"),
    ],
)
def test_argument_of_another_type_is_named(create: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        create()


untyped: Any = Address


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda machine: machine.balance("f0100"), "address has the type str: expected an Address; Address.parse"),
        (lambda machine: machine.actor("f0100"), "address has the type str: expected an Address; Address.parse"),
        (lambda machine: machine.storage("f0100"), "address has the type str: expected an Address; Address.parse"),
        (lambda machine: machine.restore("x"), "snapshot has the type str: expected a Snapshot"),
        (lambda machine: machine.upgrade(29), "network has the type int: expected a NetworkVersion"),
        (lambda _: untyped.id("5"), "actor has the type str: expected a whole number"),
        (lambda _: untyped.delegated("10", b""), "namespace has the type str: expected a whole number"),
        (lambda _: untyped.delegated(10, "0x" + "aa" * 20), "subaddress has the type str: expected bytes"),
        (lambda _: untyped.parse(None), "text has the type NoneType: expected text"),
    ],
)
def test_method_argument_of_another_type_is_named(machine: Hypervisor, use: Callable[[Any], Any], words: str) -> None:
    before = machine.root
    with pytest.raises(TypeError, match=words):
        use(machine)
    assert machine.root == before


@pytest.mark.parametrize("message", [None, "0x00", b"", {"to": ALICE}])
def test_only_messages_are_applied(machine: Hypervisor, message: Any) -> None:
    for apply in (machine.apply, machine.apply_implicit, machine.call):
        with pytest.raises(TypeError, match=f"message has the type {type(message).__name__}: expected a Message"):
            apply(message)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gas_premium": TokenAmount(-1)}, "gas premium is -1"),
        ({"gas_fee_cap": TokenAmount(-1)}, "gas fee cap is -1"),
        ({"method": -1}, "method is -1"),
        ({"method": 1 << 64}, "method is 18446744073709551616"),
        ({"method": "x"}, "method is 'x'"),
        ({"nonce": 1 << 64}, "nonce is"),
        ({"nonce": True}, "nonce is True"),
        ({"value": 1.5}, "value is 1.5"),
        ({"params": "x"}, "params is str"),
        ({"to": "f01"}, "must be addresses"),
    ],
)
@pytest.mark.parametrize("how", [Hypervisor.apply, Hypervisor.apply_implicit])
def test_a_message_with_an_impossible_field_is_refused(
    machine: Hypervisor, how: Callable[..., Any], changes: dict[str, Any], words: str
) -> None:
    before = machine.root
    with pytest.raises(MessageError, match=words):
        how(machine, replace(TRANSFER, **changes))
    assert machine.root == before


def test_a_length_on_chain_is_not_negative(machine: Hypervisor) -> None:
    with pytest.raises(MessageError, match="-1 bytes"):
        machine.apply(TRANSFER, -1)


def tree_with(fields: Any) -> StateTree:
    """Return a state tree whose actor f0100 is `fields`."""
    store = MemoryStore()
    actors = Hamt(store, None, 5)
    actors.set(b"\x00\x64", fields)
    return StateTree(store, put_object(store, [5, link(actors.flush()), link(EMPTY_ARRAY_CID)]))


CODE = link(EMPTY_ARRAY_CID)


@pytest.mark.parametrize(
    "fields",
    [
        [CODE, CODE, -1, b"", None],
        [CODE, CODE, True, b"", None],
        [CODE, CODE, 0, b"\x01\x05", None],
        [CODE, CODE, 0, "", None],
        [CODE, CODE, 0, b"", b"\x09"],
        [CODE, 7, 0, b"", None],
        [CODE],
        7,
    ],
)
def test_a_malformed_actor_is_fatal_however_it_is_read(fields: Any) -> None:
    with pytest.raises(Fatal, match="f0100"):
        tree_with(fields).get_actor(ActorID(100))
    with pytest.raises(Fatal, match="actors of the state tree"):
        list(tree_with(fields).actors())


@pytest.mark.parametrize("target", ["x", -3, (1 << 64) - 1, None, b"", True])
def test_an_address_that_leads_to_no_id_is_fatal(machine: Hypervisor, target: Any) -> None:
    tree = machine.fork().state_tree
    init = tree.init_state()
    addresses = Hamt(tree.store, init.address_map, 5)
    addresses.set(BOB.to_bytes(), target)
    tree.set_init_state(replace(init, address_map=addresses.flush()))
    if target is None:
        assert tree.lookup_id(BOB) is None
        return
    with pytest.raises(Fatal, match="is not an actor ID"):
        tree.lookup_id(BOB)


@pytest.mark.parametrize("next_id", [-1, "x", True, (1 << 64) - 1])
def test_an_init_state_without_a_next_id_is_fatal(machine: Hypervisor, next_id: Any) -> None:
    tree = machine.fork().state_tree
    state = [link(tree.init_state().address_map), next_id, "x"]
    actor = tree.get_actor(INIT_ACTOR)
    assert actor is not None
    tree.set_actor(INIT_ACTOR, replace(actor, head=put_object(tree.store, state)))
    with pytest.raises(Fatal, match="f01"):
        tree.init_state()


@pytest.mark.parametrize("state", [7, [], [7], {"a": 1}, [CODE, CODE]])
def test_a_system_state_that_names_no_manifest_is_fatal(machine: Hypervisor, state: Any) -> None:
    fork = machine.fork()
    actor = fork.state_tree.get_actor(SYSTEM_ACTOR)
    assert actor is not None
    fork.state_tree.set_actor(SYSTEM_ACTOR, replace(actor, head=put_object(fork.store, state)))
    with pytest.raises(Fatal, match="f00"):
        fork.fork()


def test_a_folder_does_not_change_its_bundle(tmp_path: Any) -> None:
    Hypervisor.open(tmp_path / "state").close()
    own = Bundle.embedded("v19")
    other = Bundle(own.root, Manifest(EMPTY_ARRAY_CID, own.manifest.codes), own.blocks)
    with pytest.raises(InvalidInput, match="was made with the bundle"):
        Hypervisor.open(tmp_path / "state", bundle=other)
    Hypervisor.open(tmp_path / "state", bundle=own).close()


def test_fatal_error_in_constructor_is_raised(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = machine.fork()
    code = fork.install(counter_module())
    monkeypatch.setattr(fork.store, "get", _without(fork, code))
    fork.registry._runtimes.clear()
    monkeypatch.setenv("FVM_CACHE_DIR", "off")
    with pytest.raises(Fatal, match="missing"):
        fork.create(code)


def _without(machine: Hypervisor, missing: bytes) -> Callable[[Any], bytes]:
    from store.blockstore import BlockNotFound

    found = machine.store.get

    def get(cid: Any) -> bytes:
        if cid == missing:
            raise BlockNotFound(cid)
        return found(cid)

    return get
