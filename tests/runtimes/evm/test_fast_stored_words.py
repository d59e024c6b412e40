"""Storage words cached by the fast engine's guest: when they are valid, and when not.

Expected: the plain engine's results.
"""

from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
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
    assert len(guest_responses) == 7  # 2 and 3 are one range of absent slots there


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


@pytest.mark.parametrize(
    ("first", "fetched"),
    # 30 or 10 stored slots, and ranges of 2^n absent ones: in the first case from 1000, 1008, 1024, 1088, 1120, 1128,
    # 1160, 1168 and 1184 on; in the second from 1160, 1168, 1184, 1216 and 1280 on
    [(1000, 30 + 9), (1150, 10 + 5), (1 << 200, 1)],
    ids=["around stored slots", "after stored slots", "far from stored slots"],
)
def test_absent_slots_are_fetched_by_ranges(guest_responses: list[int], first: int, fetched: int) -> None:
    count = 200
    write = f"DUP1 {first} ADD DUP1 SLOAD 1 ADD SWAP1 SSTORE"
    code = assemble(f"0 loop: {write} 1 ADD DUP1 {count} GT @loop JUMPI")
    stored = dict.fromkeys((*range(700, 1000), *range(1130, 1160)), 9)
    made = [EthereumMachine(engine, "Osaka") for engine in ("py-evm", "fast")]
    for world in made:
        contract = AllocAccount(0, 1, code, stored)
        world.begin(Batch("ranges", "Osaka", False, {SENDER: AllocAccount(10**20), ONE: contract}, ()))
    gas = 10_000_000
    plain, fast = (world.attempt(Call(ONE, b"", 0, gas), gas) for world in made)
    assert fast == plain
    assert fast.exit_code == 0
    assert len(guest_responses) == fetched
    accounts = [world.after(Call(ONE, b"", 0, gas), gas) for world in made]
    assert accounts[0] == accounts[1]


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
