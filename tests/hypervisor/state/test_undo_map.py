"""The undo log, and the journal and access levels built on it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.gas import GasTracker
from hypervisor.machine.call_manager import AccessTracker
from hypervisor.prices import WATERMELON
from hypervisor.state.undo_map import Journal, UndoMap
from hypervisor.types import ActorID

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
