"""Recorded jumps are those of a hand count, and recording changes neither ends nor gas."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from bridge.addresses import EthAddress
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


def install(executor: TestExecutor, code: str) -> None:
    codes = {CODE: bytes.fromhex(code), CALLED: bytes.fromhex(CALLEE)}
    install_alloc(executor.machine, {address: AllocAccount(0, 1, data) for address, data in codes.items()})


def destinations(executor: TestExecutor, gas: int = 10_000_000) -> list[int]:
    """Call the code, and return the program counters of the recorded jumps; those of CALLED plus 0xC000."""
    jump_pool().take_jumps()
    executor.call(DEFAULT_SENDER, CODE, b"", gas=gas)
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


def test_jumps_that_fail_or_are_not_taken_are_not_recorded(executor: TestExecutor) -> None:
    install(executor, CODES["jump that is not taken"])
    assert destinations(executor) == []
    install(executor, CODES["bad jump"])
    assert destinations(executor) == []


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
