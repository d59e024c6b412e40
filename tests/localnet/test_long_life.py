"""The simulated day of a node: detected problems in synthetic hours, and short runs."""

import sys

import pytest

from tests.localnet.long_life_run import WHOLE, Day, Hour, play

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read in /proc")
MB = 1_000_000


def whole_day(where: str, resident: list[int], costs: list[float]) -> Day:
    """Return a full day of as many hours: bytes, and nanoseconds of one kind of request beside a constant one."""
    asked = dict.fromkeys(("a call", "another", "a third"), 10**8)
    hours = [
        Hour((number + 1) * WHOLE // len(resident), each, {"a call": cost, "another": 500.0, "a third": 500.0}, asked)
        for number, (each, cost) in enumerate(zip(resident, costs, strict=True))
    ]
    return Day(where, WHOLE, hours, sent=WHOLE)


@pytest.mark.parametrize("where", ["folder", "memory"])
def test_memory_above_120_percent_of_the_second_hour_is_reported(where: str) -> None:
    steady = [1_000.0] * 4
    assert whole_day(where, [50 * MB, 100 * MB, 120 * MB, 119 * MB], steady).findings() == []
    (found,) = whole_day(where, [50 * MB, 100 * MB, 121 * MB, 100 * MB], steady).findings()
    assert found == (
        f"{where}: 121.0 MB of memory, 100.0 after hour 2, at most 120.0 are allowed: 67 bytes a transaction"
    )


@pytest.mark.parametrize(("where", "filling"), [("folder", 180 << 20), ("memory", 16 << 20)])
def test_shorter_run_gets_memory_allowance_for_caches(where: str, filling: int) -> None:
    most = 120 * MB + filling // 2
    hours = [Hour((number + 1) * WHOLE // 8, each, {}) for number, each in enumerate((90 * MB, 100 * MB, most, most))]
    assert Day(where, WHOLE // 2, hours).findings() == []
    hours[2] = Hour(WHOLE // 4, most + 1, {})
    assert len(Day(where, WHOLE // 2, hours).findings()) == 1


def test_request_cost_may_grow_by_half_beyond_common_growth() -> None:
    flat = [100 * MB] * 8
    assert whole_day("folder", flat, [1_000.0] * 6 + [1_499.0] * 2).findings() == []
    (found,) = whole_day("folder", flat, [1_000.0] * 6 + [1_501_000.0] * 2).findings()
    assert found == ("folder: a call took the processor 1 us in the first quarter of the day, 1,501 us in the last")
    day = whole_day("folder", flat, [1_000.0] * 8)
    for hour in day.hours[6:]:
        hour.costs.update({"a call": 1_900.0, "another": 700.0, "a third": 700.0})
    assert day.findings() == []  # twice 1.4 as all others, which count as 1.3


def test_few_requests_widen_median_limit() -> None:
    """The limit is 1.5 * (1 + 2 / 2) for four requests in a quarter of the day."""
    hours = [
        Hour(number, MB, {"a call": 1_000.0, "another": 1_000.0, "a third": 1.0}, {"a call": 2}) for number in range(8)
    ]
    for hour in hours[6:]:
        hour.costs["a call"] = 2_999.0
    assert Day("folder", WHOLE, hours).findings() == []
    for hour in hours[6:]:
        hour.costs["a call"] = 3_001.0
    assert len(Day("folder", WHOLE, hours).findings()) == 1


def test_failures_are_named_and_counted() -> None:
    assert Day("memory", 10, failures=["one", "two", "three", "four", "five"]).findings() == [
        "memory: one", "memory: two", "memory: three", "memory: 2 more failures",
    ]  # fmt: skip


@pytest.mark.slow
@ON_LINUX
@pytest.mark.parametrize("where", ["folder", "memory"])
def test_short_day_completes_without_failures(where: str) -> None:
    """Speed and memory are not checked, for which twenty transactions are too few."""
    day = play(Day(where, 480), seed=3)
    assert day.failures == []
    assert (len(day.hours), day.sent, day.subscriptions, day.snapshots) == (24, 480, 48, 4)
    assert all(hour.resident > 10 * MB for hour in day.hours)
    assert {"eth_sendRawTransaction", "an old receipt", "eth_unsubscribe", "eth_getLogs"} <= day.hours[-1].costs.keys()
    assert {"an old block", "an old block of a batch"} <= {kind for hour in day.hours for kind in hour.costs}
