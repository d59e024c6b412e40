"""The state tree and its undo log.

- The state tree: transactions, flushing, the address map, and real state roots of the main network.
- The undo log, and the journal and access levels built on it.
"""

import gzip
import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.errors import Fatal
from hypervisor.gas import WATERMELON, GasTracker
from hypervisor.machine.call_manager import AccessTracker
from hypervisor.messages.address import Address
from hypervisor.state import state_tree
from hypervisor.state.state_tree import ActorState, InitState, StateTree
from hypervisor.state.undo_map import Journal, UndoMap
from hypervisor.types import INIT_ACTOR, ActorID, TokenAmount
from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, Blockstore, get_object, put_object
from store.car.files import read_car
from store.cid import EMPTY_ARRAY_CID, RAW, Cid, cid_of, parse_cid
from store.codec import decode, encode, link
from store.trees.hamt import Hamt
from tests.conftest import data_file, samples
from tests.hypervisor.world import NEW_ETH, NEW_KEY, SENDER

CODE = cid_of(b"code", RAW)
A, B = ActorID(100), ActorID(101)


def actor(balance: int = 0, nonce: int = 0, delegated: Address | None = None) -> ActorState:
    return ActorState(CODE, EMPTY_ARRAY_CID, nonce, TokenAmount(balance), delegated)


def tree_with_init() -> StateTree:
    store = MemoryStore()
    tree = StateTree.empty(store)
    init = InitState(Hamt(store, None, 5).flush(), 100, "test")
    tree.set_actor(INIT_ACTOR, ActorState(CODE, put_object(store, init.fields())))
    return tree


# --- memory -------------------------------------------------------------------------------------------------------


STEP = st.tuples(
    st.sampled_from(("set", "set", "delete", "register", "take back", "flush", "image")), st.integers(0, 400)
)


@pytest.mark.slow
@given(st.lists(STEP, max_size=60))
@settings(max_examples=samples(60), deadline=None)
def test_cache_evicting_state_tree_matches_fully_cached_tree(steps: list[tuple[str, int]]) -> None:
    """Compare with a tree that caches everything: equal actors, addresses and roots after each step."""
    holding, letting_go = tree_with_init(), tree_with_init()
    images = [(holding.image(), letting_go.image())]
    for what, number in [*(("set", number) for number in range(0, 400, 3)), ("flush", 0), *steps, ("flush", 0)]:
        for tree in (holding, letting_go):
            with patch.object(state_tree, "MAX_CACHED_NODES", 3 if tree is letting_go else 1 << 13):
                take_step(tree, what, number)
        if what == "image":
            images.append((holding.image(), letting_go.image()))
        assert holding.get_actor(ActorID(number)) == letting_go.get_actor(ActorID(number))
        assert holding.lookup_id(secp(number)) == letting_go.lookup_id(secp(number))
    assert holding.flush() == letting_go.flush()
    for held, let_go in images[::-1]:
        holding.restore_image(held)
        letting_go.restore_image(let_go)
        assert holding.flush() == letting_go.flush()


@pytest.mark.slow
def test_a_flushed_tree_holds_no_more_nodes_than_it_may() -> None:
    tree = tree_with_init()
    for number in range(100, 3000):
        tree.set_actor(ActorID(number), actor(balance=number))
    with patch.object(state_tree, "MAX_CACHED_NODES", 20):
        root = tree.flush()
        for number in range(100, 3000, 7):
            known = tree.get_actor(ActorID(number))
            assert known is not None
            assert known.balance == number
            tree.set_actor(ActorID(number), known)
            assert tree.flush() == root
            assert tree._hamt.loaded_nodes <= 20
            assert len(list(tree._actors.items())) < 100, "of 415 that were looked at"


def secp(number: int) -> Address:
    return Address.secp256k1(number.to_bytes(65, "big"))


def take_step(tree: StateTree, what: str, number: int) -> None:
    if what == "set":
        tree.set_actor(ActorID(number + 2), actor(balance=number))
    elif what == "delete":
        tree.delete_actor(ActorID(number + 2))
    elif what == "register":
        tree.register_address(secp(number))
    elif what == "take back":
        mark = tree.begin()
        tree.register_address(secp(number))
        tree.set_actor(ActorID(number + 2), actor(nonce=1))
        tree.rollback(mark)
    elif what == "flush":
        tree.flush()


# --- shapes -------------------------------------------------------------------------------------------------------


def test_the_root_is_a_version_a_hamt_and_an_empty_tuple() -> None:
    store = MemoryStore()
    root = StateTree.empty(store).flush()
    empty_hamt = parse_cid("bafy2bzaceamp42wmmgr2g2ymg46euououzfyck7szknvfacqscohrvaikwfay")
    assert get_object(store, root) == [5, link(empty_hamt), link(EMPTY_ARRAY_CID)]
    assert store.get(EMPTY_ARRAY_CID) == b"\x80"


def test_an_actor_is_a_tuple_of_five_under_its_id_addresss_bytes() -> None:
    store = MemoryStore()
    tree = StateTree.empty(store)
    tree.set_actor(ActorID(150), actor(balance=7, nonce=3, delegated=NEW_ETH))
    tree.set_actor(A, actor())
    actors = Hamt(store, get_object(store, tree.flush())[1].value[1:], 5)
    head = link(EMPTY_ARRAY_CID)
    assert actors.get(b"\x00\x96\x01") == [link(CODE), head, 3, b"\x00\x07", b"\x04\x0a" + bytes(range(1, 21))]
    assert actors.get(b"\x00\x64") == [link(CODE), head, 0, b"", None]


def test_actors_are_listed_with_their_ids() -> None:
    tree = StateTree.empty(MemoryStore())
    for number in range(100, 140):
        tree.set_actor(ActorID(number), actor(balance=number))
    tree.flush()
    assert {number: state.balance for number, state in tree.actors()} == {n: n for n in range(100, 140)}


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 6])
def test_another_version_of_the_tree_is_refused(version: int) -> None:
    store = MemoryStore()
    actors = Hamt(store, None, 5).flush()
    root = put_object(store, [version, link(actors), link(EMPTY_ARRAY_CID)])
    with pytest.raises(Fatal, match=f"version {version}"):
        StateTree(store, root)


@pytest.mark.parametrize("block", [encode([5]), encode({"a": 1}), encode(5), b"\x82\x40\x80"], ids=repr)
def test_a_root_of_another_shape_is_refused(block: bytes) -> None:
    store = MemoryStore()
    store.put(cid_of(block), block)
    with pytest.raises(Fatal, match="not a tuple of three"):
        StateTree(store, cid_of(block))


def test_a_root_that_the_store_lacks_is_the_stores_error() -> None:
    with pytest.raises(BlockNotFound):
        StateTree(MemoryStore(), EMPTY_ARRAY_CID)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [link(CODE), link(EMPTY_ARRAY_CID), 0, b""],
        [b"code", link(EMPTY_ARRAY_CID), 0, b"", None],
        [link(CODE), link(EMPTY_ARRAY_CID), 0, b"\x07", None],
        [link(CODE), link(EMPTY_ARRAY_CID), 0, b"", b"\x04"],
        [link(CODE), link(EMPTY_ARRAY_CID), 0, b"", "f01"],
        [link(CODE), link(EMPTY_ARRAY_CID), "0", b"", None],
        7,
    ],
    ids=["empty", "four", "code", "balance", "delegated", "text", "nonce", "number"],
)
def test_an_actor_of_another_shape_is_a_broken_state(fields: Any) -> None:
    store = MemoryStore()
    actors = Hamt(store, None, 5)
    actors.set(b"\x00\x64", fields)
    tree = StateTree(store, put_object(store, [5, link(actors.flush()), link(EMPTY_ARRAY_CID)]))
    with pytest.raises(Fatal, match="f0100"):
        tree.get_actor(A)


@pytest.mark.parametrize(
    "state",
    [[], [link(EMPTY_ARRAY_CID), 100], [1, 100, "name"], 7, {"a": 1}],
    ids=["empty", "two", "map", "number", "dict"],
)
def test_an_init_actor_of_another_shape_is_a_broken_state(state: Any) -> None:
    store = MemoryStore()
    tree = StateTree.empty(store)
    tree.set_actor(INIT_ACTOR, ActorState(CODE, put_object(store, state)))
    with pytest.raises(Fatal, match="f01"):
        tree.lookup_id(SENDER)


# --- transactions -------------------------------------------------------------------------------------------------


def test_rollback_reverts_updates_creations_and_deletions() -> None:
    tree = StateTree.empty(MemoryStore())
    tree.set_actor(A, actor(1))
    root = tree.flush()
    mark = tree.begin()
    tree.set_actor(A, actor(2))
    tree.set_actor(B, actor(3))
    tree.delete_actor(A)
    assert tree.get_actor(A) is None
    tree.rollback(mark)
    assert (tree.get_actor(A), tree.get_actor(B)) == (actor(1), None)
    assert tree.flush() == root


def test_actors_read_in_reverted_transaction_are_not_reread() -> None:
    """A call is rolled back, and the next one reads the same actors; its writes are still undone."""
    tree = tree_with_init()
    tree.set_actor(ActorID(100), actor(7))
    fresh = StateTree(tree.store, tree.flush())
    with patch.object(Hamt, "get", autospec=True, side_effect=Hamt.get) as reads:
        for balance in (8, 9):
            mark = fresh.begin()
            assert fresh.get_actor(ActorID(100)) == fresh.existing(ActorID(100)) == actor(7)
            assert fresh.get_actor(ActorID(101)) is None
            fresh.set_actor(ActorID(100), actor(balance))
            assert fresh.get_actor(ActorID(100)) == actor(balance)
            fresh.rollback(mark)
    assert reads.call_count == 2
    assert fresh.flush() == tree.flush()
    fresh.set_actor(ActorID(100), actor(10))
    fresh.flush()
    assert fresh.get_actor(ActorID(100)) == actor(10)


def test_committed_inner_layer_is_reverted_with_outer_layer() -> None:
    tree = StateTree.empty(MemoryStore())
    outer = tree.begin()
    tree.set_actor(A, actor(1))
    tree.begin()
    tree.set_actor(A, actor(2))
    tree.commit()
    assert tree.get_actor(A) == actor(2)
    tree.rollback(outer)
    assert tree.get_actor(A) is None


def test_a_tree_is_not_flushed_inside_a_layer() -> None:
    tree = StateTree.empty(MemoryStore())
    mark = tree.begin()
    with pytest.raises(Fatal, match="inside a transaction"):
        tree.flush()
    tree.rollback(mark)
    tree.flush()


def test_unchanged_flush_returns_same_root_and_writes_nothing() -> None:
    store = MemoryStore()
    tree = StateTree.empty(store)
    tree.set_actor(A, actor(1))
    root, blocks = tree.flush(), len(store)
    assert (tree.flush(), len(store)) == (root, blocks)


def test_a_deleted_actor_leaves_no_trace_in_the_root() -> None:
    tree = StateTree.empty(MemoryStore())
    empty = tree.flush()
    tree.set_actor(A, actor(1))
    assert tree.flush() != empty
    tree.delete_actor(A)
    assert tree.flush() == empty
    assert StateTree(tree.store, empty).get_actor(A) is None


def test_a_flushed_tree_reads_back() -> None:
    tree = StateTree.empty(MemoryStore())
    tree.set_actor(A, actor(5, 6, NEW_ETH))
    assert StateTree(tree.store, tree.flush()).get_actor(A) == actor(5, 6, NEW_ETH)


operations = st.lists(
    st.tuples(st.sampled_from(["set", "delete", "begin", "commit", "rollback", "read"]), st.integers(100, 106)),
    max_size=60,
)


@settings(deadline=None)
@given(operations)
def test_any_layer_sequence_ends_in_root_of_remaining_actors(steps: list[tuple[str, int]]) -> None:
    tree = StateTree.empty(MemoryStore())
    current: dict[int, int] = {}
    layers: list[tuple[Any, dict[int, int]]] = []
    for at, (step, number) in enumerate(steps):
        if step == "set":
            tree.set_actor(ActorID(number), actor(at))
            current[number] = at
        elif step == "delete":
            tree.delete_actor(ActorID(number))
            current.pop(number, None)
        elif step == "begin":
            layers.append((tree.begin(), dict(current)))
        elif step == "read":
            found = tree.get_actor(ActorID(number))
            assert (found.balance if found else None) == current.get(number)
        elif layers:
            mark, before = layers.pop()
            if step == "commit":
                tree.commit()
            else:
                tree.rollback(mark)
                current = before
    while layers:
        layers.pop()
        tree.commit()
    fresh = StateTree.empty(MemoryStore())
    for number, balance in current.items():
        fresh.set_actor(ActorID(number), actor(balance))
    assert tree.flush() == fresh.flush()


# --- addresses ----------------------------------------------------------------------------------------------------


def test_registered_address_gets_next_id_in_init_state() -> None:
    tree = tree_with_init()
    assert tree.lookup_id(SENDER) is None
    assert [tree.register_address(SENDER), tree.register_address(NEW_ETH)] == [100, 101]
    assert [tree.lookup_id(SENDER), tree.lookup_id(NEW_ETH)] == [100, 101]
    init = tree.init_state()
    assert (init.next_id, init.network_name) == (102, "test")
    # a map of bit width 5 from the address's bytes to the number
    assert Hamt(tree.store, init.address_map, 5).get(SENDER.to_bytes()) == 100
    actor = tree.get_actor(INIT_ACTOR)
    assert actor is not None
    assert get_object(tree.store, actor.head) == [link(init.address_map), 102, "test"]


def test_a_further_address_leads_to_the_same_actor() -> None:
    tree = tree_with_init()
    number = tree.register_address(SENDER)
    tree.map_address(NEW_KEY, number)
    assert tree.lookup_id(NEW_KEY) == number
    assert tree.init_state().next_id == 101


def test_a_rollback_forgets_the_addresses_registered_since() -> None:
    tree = tree_with_init()
    mark = tree.begin()
    tree.register_address(SENDER)
    tree.rollback(mark)
    assert tree.lookup_id(SENDER) is None
    assert tree.register_address(NEW_KEY) == 100
    assert tree.lookup_id(SENDER) is None


def test_an_address_that_the_init_actor_wrote_itself_is_found() -> None:
    tree = tree_with_init()
    assert tree.lookup_id(NEW_KEY) is None
    init = tree.init_state()
    addresses = Hamt(tree.store, init.address_map, 5)
    addresses.set(NEW_KEY.to_bytes(), 777)
    tree.set_init_state(InitState(addresses.flush(), init.next_id, init.network_name))
    assert tree.lookup_id(NEW_KEY) == 777


def test_id_address_lookup_needs_no_init_actor() -> None:
    tree = StateTree.empty(MemoryStore())
    assert tree.lookup_id(Address.id(123)) == 123
    with pytest.raises(Fatal, match="no init actor"):
        tree.lookup_id(SENDER)


# --- the main network ---------------------------------------------------------------------------------------------


def recorded_states() -> list[Path]:
    return sorted(data_file("vectors/fvm-nv18").rglob("*-1.json"))[:6]


def load(path: Path) -> tuple[MemoryStore, Any]:
    vector = json.loads(path.read_text())
    store = MemoryStore()
    store.put_many(read_car(io.BytesIO(gzip.decompress(b64decode(vector["car"])))))
    return store, vector


def test_recorded_actors_round_trip_to_recorded_root() -> None:
    paths = recorded_states()
    assert len(paths) == 6
    for path in paths:
        store, vector = load(path)
        root = parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"])
        tree = StateTree(store, root)
        for number in (0, 1, 2, 99):
            state = tree.get_actor(ActorID(number))
            assert state is not None, path.name
            tree.set_actor(ActorID(number), state.with_balance(state.balance + 1))
        assert tree.flush() != root
        for number in (0, 1, 2, 99):
            state = tree.get_actor(ActorID(number))
            assert state is not None
            tree.set_actor(ActorID(number), state.with_balance(state.balance - 1))
        assert tree.flush() == root


def test_recorded_message_senders_resolve_in_recorded_init_state() -> None:
    for path in recorded_states():
        store, vector = load(path)
        tree = StateTree(store, parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"]))
        message = decode(b64decode(vector["apply_messages"][0]["bytes"]))
        sender = tree.lookup_id(Address.from_bytes(message[2]))
        assert sender is not None
        state = tree.get_actor(sender)
        assert state is not None
        assert state.nonce == message[3]
        assert tree.init_state().network_name == "mainnet"


def test_tree_image_restored_in_transaction_rolls_back_with_it() -> None:
    tree = tree_with_init()
    tree.set_actor(A, actor(5))
    image = tree.image()
    outer = tree.begin()
    made = tree.register_address(NEW_ETH)
    tree.set_actor(A, actor(7))
    inner = tree.begin()
    tree.restore_image(image)
    assert (tree.get_actor(A), tree.lookup_id(NEW_ETH)) == (actor(5), None)
    tree.rollback(inner)
    assert (tree.get_actor(A), tree.lookup_id(NEW_ETH)) == (actor(7), made)
    tree.rollback(outer)


def test_tree_restores_image_taken_before_flush() -> None:
    tree = tree_with_init()
    tree.set_actor(A, actor(5))
    root = tree.flush()
    image = tree.image()
    tree.set_actor(A, actor(7))
    tree.set_actor(B, actor(1))
    tree.flush()
    tree.restore_image(image)
    assert tree.flush() == root


class OtherTree:
    """An origin that serves the actors of another tree."""

    def __init__(self, tree: StateTree) -> None:
        self.tree = tree

    def lookup_id(self, _address: Address) -> ActorID | None:
        return None

    def actor(self, actor: ActorID) -> ActorState | None:
        return self.tree.get_actor(actor)

    def words(self, store: Blockstore, root: Cid) -> None:
        return None

    def removed(self, actor: ActorID) -> None:
        return None

    def current_root(self) -> Cid:
        return self.tree.flushed_root


def test_origin_backed_tree_owns_only_writes_and_cannot_flush() -> None:
    other = tree_with_init()
    other.set_actor(A, actor(9))
    other.flush()
    tree = tree_with_init()
    tree.set_actor(A, actor(5))
    tree.set_actor(B, actor(6))
    root = tree.flush()
    tree.read_all_from(OtherTree(other))
    assert (tree.get_actor(A), tree.get_actor(B), tree.get_actor(INIT_ACTOR)) == (
        actor(9), None, other.get_actor(INIT_ACTOR)
    )  # fmt: skip
    mark = tree.begin()
    made = tree.register_address(NEW_ETH)
    tree.set_actor(A, actor(7))
    assert (tree.get_actor(A), tree.lookup_id(NEW_ETH)) == (actor(7), made)
    tree.rollback(mark)
    assert (tree.get_actor(A), tree.lookup_id(NEW_ETH)) == (actor(9), None)
    with pytest.raises(Fatal, match="cannot be flushed"):
        tree.flush()
    assert (tree.flushed_root, tree.current_root()) == (root, other.flushed_root)


GAS = 1000
LOOKUP, UPDATE = 500_000 * GAS, 475_000 * GAS

steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 5), st.integers()),
        st.tuples(st.just("open"), st.just(0), st.just(0)),
        st.tuples(st.sampled_from(["commit", "rollback"]), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps)
def test_an_undo_map_equals_a_stack_of_copied_dicts(operations: list[tuple[str, int, int]]) -> None:
    subject: UndoMap[int, int] = UndoMap()
    current: dict[int, int] = {}
    layers: list[tuple[int, dict[int, int]]] = []
    for name, key, value in operations:
        if name == "set":
            subject.set(key, value)
            current[key] = value
        elif name == "open":
            layers.append((subject.mark(), dict(current)))
        elif layers:
            mark, before = layers.pop()
            if name == "rollback":
                subject.rollback(mark)
                current = before
        assert dict(subject.items()) == current
        assert all(key in subject and subject.get(key) == value for key, value in current.items())


journal_steps = st.lists(
    st.tuples(st.sampled_from(["set", "set", "set", "take", "open", "commit", "rollback"]), st.integers(0, 5)),
    max_size=60,
)


@settings(deadline=None)
@given(journal_steps)
def test_keys_are_taken_once_and_again_after_a_rollback(operations: list[tuple[str, int]]) -> None:
    """The model is a list of keys not yet taken, copied at the start of a transaction and restored on failure."""
    subject = Journal()
    waiting: list[int] = []
    layers: list[tuple[int, list[int]]] = []
    for name, key in operations:
        if name == "set":
            subject.set(key, True)
            waiting.append(key)
        elif name == "take":
            assert subject.take_changes("part") == list(dict.fromkeys(waiting))
            waiting = []
        elif name == "open":
            layers.append((subject.mark(), list(waiting)))
        elif layers:
            mark, before = layers.pop()
            if name == "rollback":
                subject.rollback(mark)
                waiting = before
    assert subject.take_changes("part") == list(dict.fromkeys(waiting))


def test_each_purpose_takes_its_own_keys() -> None:
    subject = Journal()
    subject.set("a", 1)
    assert subject.take_changes("one") == ["a"]
    subject.set("b", 1)
    assert (subject.take_changes("other"), subject.take_changes("one")) == (["a", "b"], ["b"])


def test_stored_none_differs_from_missing_key() -> None:
    subject: UndoMap[str, int | None] = UndoMap()
    subject.set("a", None)
    mark = subject.mark()
    subject.set("a", 1)
    subject.rollback(mark)
    assert "a" in subject
    assert subject.get("a", 5) is None
    subject.rollback(0)
    assert "a" not in subject


def test_a_forgotten_log_makes_everything_permanent() -> None:
    subject: UndoMap[str, int] = UndoMap()
    subject.set("a", 1)
    subject.forget_log()
    subject.rollback(subject.mark())
    assert subject.get("a") == 1
    subject.clear()
    assert "a" not in subject


def test_journal_rollback_restores_values_of_failed_call() -> None:
    journal = Journal()
    journal.set(("evm", "warm", 1), True)
    mark = journal.mark()
    journal.set(("evm", "warm", 1), False)
    journal.set(("evm", "warm", 2), True)
    journal.rollback(mark)
    assert journal.get(("evm", "warm", 1)) is True
    assert journal.get(("evm", "warm", 2), "absent") == "absent"


def test_bulk_writes_are_rolled_back() -> None:
    journal = Journal()
    journal.set("old", 1)
    mark = journal.mark()
    journal.set_all([("old", 2), ("new", 3), ("new", 4)])
    assert [*journal.items()] == [("old", 2), ("new", 4)]
    journal.rollback(mark)
    assert [*journal.items()] == [("old", 1)]


def access(receiver: int | None = None) -> tuple[AccessTracker, GasTracker]:
    tracker = AccessTracker(WATERMELON, ActorID(100), None if receiver is None else ActorID(receiver))
    return tracker, GasTracker(10**15)


def read(tracker: AccessTracker, gas: GasTracker, actor: int) -> int:
    before = gas.used
    tracker.charge_read(ActorID(actor), gas)
    tracker.record_read(ActorID(actor))
    return gas.used - before


def update(tracker: AccessTracker, gas: GasTracker, actor: int) -> int:
    before = gas.used
    tracker.charge_update(ActorID(actor), gas)
    return gas.used - before


def test_actor_is_charged_once_for_read_and_once_for_update() -> None:
    tracker, gas = access()
    assert [read(tracker, gas, 200), read(tracker, gas, 200)] == [LOOKUP, 0]
    assert [update(tracker, gas, 200), update(tracker, gas, 200), read(tracker, gas, 200)] == [UPDATE, 0, 0]


def test_update_without_prior_lookup_pays_for_both() -> None:
    tracker, gas = access()
    assert update(tracker, gas, 200) == LOOKUP + UPDATE


def test_origin_and_preloaded_actors_are_free_receiver_to_read() -> None:
    tracker, gas = access(receiver=300)
    for actor in (0, 1, 2, 3, 4, 5, 6, 7, 10, 99, 100):
        assert update(tracker, gas, actor) == 0
    assert [read(tracker, gas, 300), update(tracker, gas, 300)] == [0, UPDATE]
    assert read(tracker, gas, 8) == LOOKUP


def test_a_receiver_that_is_preloaded_stays_free_to_change() -> None:
    tracker, gas = access(receiver=5)
    assert update(tracker, gas, 5) == 0


def test_reverted_access_is_charged_again_but_older_one_is_not() -> None:
    tracker, gas = access()
    read(tracker, gas, 200)
    mark = tracker.mark()
    assert [update(tracker, gas, 200), update(tracker, gas, 201)] == [UPDATE, LOOKUP + UPDATE]
    tracker.rollback(mark)
    assert [read(tracker, gas, 200), update(tracker, gas, 200)] == [0, UPDATE]
    assert update(tracker, gas, 201) == LOOKUP + UPDATE


def test_journal_restored_to_image_is_undone_by_rollback() -> None:
    journal = Journal()
    journal.set("kept", 1)
    image = journal.image()
    journal.set("kept", 2)
    journal.set("new", 3)
    mark = journal.mark()
    journal.restore_image(image)
    assert (journal.get("kept"), journal.get("new")) == (1, None)
    journal.rollback(mark)
    assert (journal.get("kept"), journal.get("new")) == (2, 3)
