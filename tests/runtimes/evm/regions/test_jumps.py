"""Recorded jumps are those of a hand count, and recording changes neither ends nor gas."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.interceptor import Cheatcodes
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER
from fvm_hypervisor.soltest.executor import TestExecutor
from fvm_hypervisor.soltest.executor_settings import ExecutorSettings
from runtimes.evm.engines import jump_pool
from runtimes.evm.ethereum import AllocAccount, install_alloc
from runtimes.evm.fast.regions import jumps

CALLED: Final = EthAddress(b"\xc0" * 20)
CODE: Final = EthAddress(b"\xc1" * 20)
LOOP: Final = "61{count:04x}5b6001900380600357" + "00"
"""Counts down from a number, and jumps back to 3 while it is not zero."""
CALLEE: Final = "6004565b5b00"
CALL: Final = f"5f5f5f5f5f73{CALLED.hex()}61fffff1"
CODES: Final = {
    "loop": LOOP.format(count=5),
    "call": f"60205b{CALL}50600160245700fe5b{CALL}00",
    "push of a jumpdest": "600a565b605b60055b5b00",
    "jump that is not taken": "5f600557005b00",
    "bad jump": "600356005b",
    "revert": "600456fe5b5f5ffd",
    "create": "646003565b005f526005601b5ff0600e565b00",
}


@pytest.fixture
def executor() -> Iterator[TestExecutor]:
    jump_pool().close_instances()
    with closing(TestExecutor(ExecutorSettings(evm="fast", records_jumps=True), Cheatcodes())) as made:
        yield made


def install(executor: TestExecutor, code: str, others: dict[EthAddress, str] | None = None) -> None:
    codes = {CODE: code, CALLED: CALLEE, **(others or {})}
    accounts = {address: AllocAccount(0, 1, bytes.fromhex(data)) for address, data in codes.items()}
    install_alloc(executor.machine, accounts)


def destinations(executor: TestExecutor, gas: int = 10_000_000, to: EthAddress = CODE) -> list[int]:
    """Call the code, and return the program counters of the recorded jumps, plus 0xC000 times the code's number."""
    jump_pool().take_jumps()
    executor.call(DEFAULT_SENDER, to, b"", gas=gas)
    numbers: dict[int, int] = {}
    found = []
    for jump in array("Q", jump_pool().take_jumps()):
        number = numbers.setdefault(jump >> 32, len(numbers))
        found.append((number * 0xC000) + (jump & 0xFFFF_FFFF))
    assert not jump_pool().take_jumps()
    return found


@pytest.mark.parametrize("count", [1, 2, 5, 3000])
def test_each_jump_of_a_long_loop_is_recorded(executor: TestExecutor, count: int) -> None:
    install(executor, LOOP.format(count=count))
    assert destinations(executor) == [3] * (count - 1)


def test_jumps_of_called_contracts_are_recorded_from_the_second_call_on(executor: TestExecutor) -> None:
    """A tree starts again if it lacks data; it then records its first jumps again."""
    code = bytes.fromhex(f"6003565b{CALL}506026565b{CALL}00")
    install(executor, code.hex())
    assert code[3] == 0x5B
    assert code[0x26] == 0x5B
    first, second = destinations(executor), destinations(executor)
    assert first[-2:] == [3, 0x26]
    assert second[-4:] == [3, 0xC004, 0x26, 0xC004]


@pytest.mark.parametrize("name", ["jump that is not taken", "bad jump"])
def test_jumps_that_fail_or_are_not_taken_are_not_recorded(executor: TestExecutor, name: str) -> None:
    install(executor, CODES[name])
    assert destinations(executor) == []


@pytest.mark.parametrize("children", [1, 4, 8, 12])
def test_jumps_after_creations_are_recorded(executor: TestExecutor, children: int) -> None:
    """Constructors and created contracts jump once each, and are not recorded in the call that creates them."""
    jumps_once = "6003565b"
    runtime = f"{jumps_once}00".ljust(16, "0")
    init_code = f"{jumps_once}67{runtime}5f5260086018f3"
    size = len(init_code) // 2
    create = f"60{size:02x}60{32 - size:02x}5ff0"
    call_created = "5f5f5f5f5f8561fffff15050"
    code = f"{jumps_once}{0x5F + size:02x}{init_code}5f52{(create + call_created) * children}{CALL}00"
    install(executor, code)
    for _ in range(2):
        destinations(executor)
    assert [destinations(executor, 30_000_000)[-2:] for _ in range(10)] == [[3, 0xC004]] * 10


def test_all_codes_of_a_call_are_recorded_in_the_next_one(executor: TestExecutor) -> None:
    """The guest reports a code at each of its first jumps, and holds eight reports."""
    counts = {EthAddress(bytes([0xD0, *bytes(18), number])): number for number in range(20, 32)}
    code = "".join(CALL.replace(CALLED.hex(), address.hex()) for address in counts) + "00"
    install(executor, code, {address: LOOP.format(count=count) for address, count in counts.items()})
    destinations(executor)
    expected = [number * 0xC000 + 3 for number, count in enumerate(counts.values()) for _ in range(count - 1)]
    assert destinations(executor) == expected


def test_log_of_a_closed_instance_is_returned(executor: TestExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance is closed after a number of codes, or if its memory is large."""
    monkeypatch.setattr(jumps, "MAX_CODES", 4)
    codes = {EthAddress(bytes([0xD0, *bytes(18), number])): f"6003565b60{number:02x}00" for number in range(12)}
    install(executor, f"6003565b600163{17 << 20:08x}5200", codes)
    assert [destinations(executor, to=address)[-1:] for address in codes] == [[3]] * len(codes)
    assert [destinations(executor, 1 << 30)[-1:] for _ in range(3)] == [[3]] * 3


def test_arrivals_with_little_gas_do_not_end_recording(executor: TestExecutor) -> None:
    """The guest removes regions that use little gas: here, each call of CALLED jumps with nine gas left."""
    count, call = 2000, CALL.replace("61fffff1", "6014f1")
    install(executor, f"61{count:04x}5b{call}506001900380600357" + "00")
    destinations(executor)
    jumped = destinations(executor)
    assert (jumped.count(4), jumped.count(0xC003)) == (count, count - 1)


def test_log_ends_at_its_limit(executor: TestExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jumps, "MAX_LOG_BYTES", 80)
    install(executor, LOOP.format(count=77))
    assert destinations(executor) == [3] * 10


@pytest.mark.parametrize("name", CODES)
def test_recording_changes_neither_end_nor_gas(executor: TestExecutor, name: str) -> None:
    """At any gas limit, also where too little is left for the gas that the region takes and returns."""
    install(executor, CODES[name])
    with closing(TestExecutor(ExecutorSettings(evm="py-evm"), Cheatcodes())) as plain:
        install(plain, CODES[name])
        for gas in (*range(21_000, 21_160), 90_000, 200_000):
            found, expected = (each.call(DEFAULT_SENDER, CODE, b"", gas=gas) for each in (executor, plain))
            assert (found.success, found.output, found.gas_used) == (
                expected.success, expected.output, expected.gas_used,
            ), gas  # fmt: skip
