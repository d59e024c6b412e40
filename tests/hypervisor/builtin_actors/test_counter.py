"""The example actor: features available to users' native code, and its failures."""

import pytest

from bridge.ethereum.addresses import masked_id
from hypervisor import Address
from hypervisor.machine.machine import CreationFailed
from hypervisor.messages.events import StampedEvent
from hypervisor.types import decode_bigint
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.world import KEY_ACCOUNT, World, answer

U64_MAX = 2**64 - 1


def entries(event: StampedEvent) -> dict[str, object]:
    return {entry.key: decode(entry.value) for entry in event.entries}


def test_a_new_counter_is_at_zero(counting: World) -> None:
    assert counting.state_of(counting.counter) == [0, b"", [0, b""]]
    assert answer(counting.call_counter("Get")) == 0


def test_counter_increments(counting: World) -> None:
    assert answer(counting.call_counter("Increment", 5)) == 5
    assert answer(counting.call_counter("Increment", 37)) == 42
    assert answer(counting.call_counter("Get")) == 42


def test_counting_emits_an_event(counting: World) -> None:
    (event,) = counting.call_counter("Increment", 5).events
    assert event.emitter == counting.counter
    assert entries(event) == {"$type": "incremented", "by": 5, "count": 5}


def test_counter_accepts_deposits(counting: World) -> None:
    counting.call_counter("Deposit", value=30)
    result = counting.call_counter("Deposit", value=12)
    assert decode_bigint(answer(result)) == 42
    assert entries(result.events[0]) == {
        "$type": "deposited",
        "from": counting.id_of(KEY_ACCOUNT),
        "amount": b"\x00\x0c",
    }
    assert decode_bigint(answer(counting.call_counter("Deposits"))) == 42
    assert counting.balance_of(Address.id(counting.counter)) == 42


def test_zero_deposit_is_refused(counting: World) -> None:
    assert counting.call_counter("Deposit").exit_code == 16


def test_failed_call_leaves_only_exit_code_message_and_data(counting: World) -> None:
    counting.call_counter("Increment", 7)
    before = counting.state_of(counting.counter)
    result = counting.call_counter("Fail", 42, "on purpose", encode("why"), value=9)
    assert (result.exit_code, result.return_data, result.events) == (42, encode("why"), ())
    assert "on purpose" in result.message
    assert counting.state_of(counting.counter) == before
    assert counting.balance_of(Address.id(counting.counter)) == 0


def test_an_exit_code_of_the_system_is_not_an_actors_to_use(counting: World) -> None:
    assert counting.call_counter("Fail", 7, "as if out of gas", b"").exit_code == 9


def test_a_panic_is_exit_24(counting: World) -> None:
    counting.call_counter("Increment", U64_MAX)
    result = counting.call_counter("Increment", 1)
    assert result.exit_code == 24
    assert "overflow" in result.message
    assert answer(counting.call_counter("Get")) == U64_MAX


@pytest.mark.parametrize(
    ("method", "params", "exit_code"),
    [("Increment", (), 16), ("Increment", (b"5",), 21), ("Get", (1,), 16), ("NoSuchMethod", (), 22)],
)
def test_bad_calls_get_distinct_exit_codes(
    counting: World, method: str, params: tuple[object, ...], exit_code: int
) -> None:
    assert counting.call_counter(method, *params).exit_code == exit_code


def test_users_cannot_call_constructor(counting: World) -> None:
    assert counting.send(Address.id(counting.counter), 1).exit_code == 18


def test_a_constructor_that_refuses_leaves_no_actor(world: World) -> None:
    world.create_counter()
    state = world.machine.actor(Address.id(world.counter))
    assert state is not None
    next_id = world.next_id()
    with pytest.raises(CreationFailed, match="16"):
        world.machine.create(state.code, encode(1))
    assert world.next_id() == next_id


def test_counter_recurses_to_requested_depth(counting: World) -> None:
    assert answer(counting.call_counter("Recurse", 0)) == [1, 0]
    assert answer(counting.call_counter("Recurse", 40)) == [41, 0]


def test_call_to_account_as_contract_returns_empty_success(counting: World) -> None:
    account = masked_id(counting.id_of(KEY_ACCOUNT))
    assert answer(counting.call_counter("CallContract", account, b"data", b"")) == [0, b""]


def test_failed_send_is_stored_as_error_number(counting: World) -> None:
    nobody, poor = [-6, b""], [-5, b""]
    assert answer(counting.call_counter("CallContract", masked_id(99_999), b"", b"")) == nobody
    assert answer(counting.call_counter("LastCall")) == nobody
    assert answer(counting.call_counter("CallContract", masked_id(99), b"", b"\x00\x01")) == poor
