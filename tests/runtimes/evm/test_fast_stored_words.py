"""Storage words cached by the fast engine's guest: when they are valid, and when not.

Expected: the plain engine's results.
"""

from typing import Any

import pytest

from bridge.addresses import EthAddress
from runtimes.evm.ethereum.alloc import AllocAccount
from runtimes.evm.fast.instance import FastInstance
from runtimes.evm.fast.pool import pool
from tests.differential.generator import SENDER
from tests.engines.scenes import Batch, Call
from tests.engines.worlds import EthereumMachine, output_of
from tests.runtimes.evm.assembler import assemble

ONE, OTHER = (EthAddress(bytes([number]) * 20) for number in (0xB1, 0xB2))
_SLOTS = assemble("1 SLOAD 2 SLOAD ADD 3 SLOAD ADD 1 SSTORE 0 2 SSTORE GAS 4 SSTORE 1 SLOAD 0 MSTORE 32 0 RETURN")
_GAS = 1_000_000


@pytest.fixture
def guest_responses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record each response to the guest; a new guest has no cached words."""
    pool.cache_clear()
    counted: list[int] = []
    tell = FastInstance.supply

    def count(self: FastInstance, *given: Any) -> bool:
        counted.append(1)
        return tell(self, *given)

    monkeypatch.setattr(FastInstance, "supply", count)
    return counted


def worlds(code: bytes, other: dict[int, int]) -> list[EthereumMachine]:
    """Return the plain and the fast engine, with a contract of slots 1 and 2 and another of the same code."""
    made = [EthereumMachine(engine, "Osaka") for engine in ("py-evm", "fast")]
    contracts = {ONE: AllocAccount(0, 1, code, {1: 5, 2: 6}), OTHER: AllocAccount(0, 1, code, other)}
    for world in made:
        world.begin(Batch("words", "Osaka", False, {SENDER: AllocAccount(10**20), **contracts}, ()))
    return made


def alike(made: list[EthereumMachine], call: Call) -> None:
    """Check that both give the same result for a transaction, which is rolled back."""
    plain, fast = (world.attempt(call, _GAS) for world in made)
    assert fast == plain
    assert fast.exit_code == 0


def test_storage_word_is_fetched_once_per_storage(guest_responses: list[int]) -> None:
    made = worlds(_SLOTS, {1: 7})
    alike(made, Call(ONE, b"", 0, _GAS))
    assert len(guest_responses) == 4  # a slot for each: 1, 2, 3, 4
    alike(made, Call(ONE, b"", 0, _GAS))
    assert len(guest_responses) == 4
    alike(made, Call(OTHER, b"", 0, _GAS))  # the same slots of another storage
    assert len(guest_responses) == 8


def test_the_same_slots_of_two_storages_are_apart(guest_responses: list[int]) -> None:
    call_other = f"32 0 0 0 0 0x{OTHER.hex()} GAS CALL POP 0 MLOAD 1 SLOAD ADD 1 SSTORE"
    made = worlds(assemble(f"CALLER 0x{SENDER.hex()} EQ @outer JUMPI 1 SLOAD 0 MSTORE 32 0 RETURN outer: {call_other}"),
                  {1: 7, 2: 8})  # fmt: skip
    for _ in range(2):
        alike(made, Call(ONE, b"", 0, _GAS))
    assert guest_responses


@pytest.mark.parametrize("listed", [(1,), (1, 2, 3, 4), (9,)])
def test_access_list_slots_with_known_values_are_warm(guest_responses: list[int], listed: tuple[int, ...]) -> None:
    made = worlds(_SLOTS, {})
    alike(made, Call(ONE, b"", 0, _GAS))
    known = len(guest_responses)
    alike(made, Call(ONE, b"", 0, _GAS, ((ONE, listed),)))
    assert len(guest_responses) > known
    alike(made, Call(ONE, b"", 0, _GAS))


def test_a_storage_that_changed_has_its_new_words(guest_responses: list[int]) -> None:
    made = worlds(_SLOTS, {})
    alike(made, Call(ONE, b"", 0, _GAS))
    for world in made:
        changed = world.after(Call(ONE, b"", 0, _GAS), _GAS)
        world.begin(Batch("changed", "Osaka", False, {**changed, SENDER: AllocAccount(10**20)}, ()))
    known = len(guest_responses)
    alike(made, Call(ONE, b"", 0, _GAS))
    assert len(guest_responses) > known


@pytest.mark.slow
def test_storages_beyond_cache_limit_have_separate_slots(guest_responses: list[int]) -> None:
    count = 1_100
    first = 0xC0 << 152
    calls = f"32 0 0 0 0 DUP6 0x{first:040x} ADD GAS CALL POP 0 MLOAD 32 MLOAD ADD 32 MSTORE"
    caller = assemble(f"0 loop: {calls} 1 ADD DUP1 {count} GT @loop JUMPI 32 32 RETURN")
    results = assemble("1 SLOAD 0 MSTORE 32 0 RETURN")
    callees = {
        EthAddress((first + number).to_bytes(20, "big")): AllocAccount(0, 1, results, {1: number + 1})
        for number in range(count)
    }
    assert sums({ONE: AllocAccount(0, 1, caller), **callees}) == [count * (count + 1) // 2] * 2


@pytest.mark.slow
def test_slots_beyond_cache_limit_are_reloaded_correctly(guest_responses: list[int]) -> None:
    count = 17_000
    reads = "DUP1 SLOAD 32 MLOAD ADD 32 MSTORE"
    code = assemble(f"0 loop: {reads} 1 ADD DUP1 {count} GT @loop JUMPI 32 32 RETURN")
    words = {number: number + 1 for number in range(count)}
    assert sums({ONE: AllocAccount(0, 1, code, words)}) == [count * (count + 1) // 2] * 2


def sums(contracts: dict[EthAddress, AllocAccount]) -> list[int]:
    """Return what one of the contracts returns in two calls on the fast engine."""
    world = EthereumMachine("fast", "Cancun")
    world.begin(Batch("many", "Cancun", False, {SENDER: AllocAccount(10**20), **contracts}, ()))
    call = Call(ONE, b"", 0, 100_000_000)
    return [int.from_bytes(output_of(world.attempt(call, call.gas_limit)), "big") for _ in range(2)]
