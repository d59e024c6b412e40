"""Address and gas conversions for every input at once: round trips, injectivity, no gas created or lost."""

from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import z3

from bridge import gas
from bridge.ethereum import addresses
from bridge.ethereum.addresses import EthAddress
from hypervisor import integers
from hypervisor.errors import OutOfGas
from hypervisor.gas import GasTracker
from hypervisor.messages.address import Address, Protocol
from runtimes.evm import syscalls
from tests.bridge.symbolic import (
    Bytes,
    Growing,
    Integers,
    Number,
    always,
    amount,
    exchanged,
    paths,
    plain,
    unknown,
    word,
)

U64 = 1 << 64


@pytest.fixture(autouse=True)
def _unknowns(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanged(monkeypatch, addresses, int=Integers)
    exchanged(monkeypatch, integers, bytes=Bytes, bytearray=Growing)


def ethereum(name: str) -> EthAddress:
    return cast(EthAddress, unknown(name, 20))


def masked(address: Any) -> Any:
    """Return whether an address matches the pattern of masked IDs in the specification."""
    return z3.And([plain(part) == (0xFF if place == 0 else 0) for place, part in enumerate(address.parts[:12])])


def test_masking_is_undone_by_unmasking_for_every_id() -> None:
    actor = word("actor")
    ended = list(paths(lambda: addresses.unmask_id(addresses.masked_id(cast(int, actor))), actor < U64))
    assert ended
    for conditions, result in ended:
        assert isinstance(result, Number)
        assert always(result == actor, conditions)


def test_unmask_id_round_trips_and_rejects_unmasked_addresses() -> None:
    address = ethereum("a")
    kinds = set()
    for conditions, result in paths(lambda: addresses.unmask_id(address)):
        kinds.add(type(result))
        if result is None:
            assert always(z3.Not(masked(address)), conditions)
            continue
        assert always(masked(address), conditions)
        ((_, again),) = paths(partial(addresses.masked_id, cast(int, result)), *conditions)
        assert always(again == address, conditions)
    assert kinds == {type(None), Number}


def test_filecoin_round_trip_is_injective_and_prefers_f410() -> None:
    first, second = ethereum("a"), ethereum("b")
    outside = [z3.Not(masked(first)), z3.Not(masked(second))]
    ((conditions, pair),) = paths(lambda: (addresses.to_filecoin(first), addresses.to_filecoin(second)), *outside)
    assert [address.protocol for address in pair] == [Protocol.DELEGATED] * 2
    same = (pair[0].payload == pair[1].payload).term
    assert always(z3.Implies(same, plain(Bytes(first) == second)), conditions)
    for conditions, back in paths(lambda: addresses.to_ethereum(cast(Any, word("actor")), pair[0]), *outside):
        assert always(back == first, conditions)


def test_masked_f410_payload_yields_no_ethereum_address() -> None:
    address = ethereum("a")
    delegated = Address(Protocol.DELEGATED, cast(bytes, b"\x0a" + cast(Any, address)))
    for conditions, result in paths(lambda: addresses.from_delegated(delegated), masked(address)):
        assert result is None, conditions


def test_word_to_address_ignores_upper_bits() -> None:
    asked = word("word")
    for conditions, result in paths(lambda: addresses.word_to_address(cast(int, asked))):
        assert always(Integers.from_bytes(result, "big") == asked & ((1 << 160) - 1), conditions)


@pytest.mark.slow
def test_every_actor_id_survives_leb128_round_trip() -> None:
    actor = word("actor")
    lengths = set()
    for conditions, written in paths(lambda: integers.encode_uleb128(cast(int, actor)), actor < U64):
        lengths.add(len(written))
        for deeper, (number, end) in paths(partial(integers.decode_uleb128, written), *conditions):
            assert end == len(written)
            assert always(number == actor, deeper)
    assert lengths == set(range(1, 11))


def test_call_gas_limit_is_requested_amount_capped_at_63_64ths() -> None:
    wanted, left = amount("wanted"), amount("left")
    host = SimpleNamespace(get_gas_left=lambda: left)
    ended = list(paths(lambda: syscalls.gas_limit(cast(Any, host), cast(int, wanted)), wanted >= 0, left >= 0))
    assert len(ended) > 1
    for conditions, limit in ended:
        assert always(limit <= wanted, conditions)
        assert always(Number(plain(limit) * 64) <= left * 63, conditions)
        kept = z3.Implies(plain(wanted * 64 <= left * 63), z3.Or(plain(limit) == plain(wanted), plain(wanted) >= U64))
        assert always(kept, conditions)


@pytest.mark.parametrize("rate", [1, 999, gas.DEFAULT_RATE])
def test_gas_budget_charges_used_gas_and_never_exceeds_limit(rate: int) -> None:
    limit, used, share = amount("limit"), amount("used"), amount("share")
    seen = set()

    def spend() -> tuple[GasTracker, gas.GasBudget]:
        tracker = GasTracker(cast(int, limit))
        budget = gas.GasBudget(tracker, rate)
        if used > budget.remaining:
            budget.overdraw(cast(int, used))
        budget.remaining -= cast(int, used)
        budget.settle()
        tracker.push(cast(int, share))  # a call with its own limit uses all of it
        tracker.charge("callee", tracker.limit)
        tracker.pop()
        budget.refill()
        return tracker, budget

    for conditions, result in paths(spend, limit >= 0, used >= 0, share >= 0):
        seen.add(OutOfGas if isinstance(result, OutOfGas) else tuple)
        if isinstance(result, OutOfGas):
            assert always(used * rate > limit, conditions)
            continue
        tracker, budget = result
        rest = limit - used * rate
        callee = z3.If(plain(share < rest), plain(share), plain(rest))
        assert always(Number(plain(tracker.used)) == used * rate + Number(callee), conditions)
        assert always(Number(plain(tracker.available)) >= 0, conditions)
        assert always(Number(plain(budget.remaining)) * rate <= tracker.available, conditions)
    assert seen == {tuple, OutOfGas}
