"""The limit of short executions: its time, its pause, and the machine's state around it."""

from types import SimpleNamespace

import pytest
from _pytest.monkeypatch import MonkeyPatch

from hypervisor import short_executions
from hypervisor.errors import LongExecution
from hypervisor.short_executions import ShortExecutions

MILLISECOND = 0.001


class Clock:
    """The processor time of a thread that never waits, which is also the time of day."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(short_executions, "time", clock)
    return clock


def begun(machine: SimpleNamespace) -> ShortExecutions:
    """Return a limit after its first execution, which is refused."""
    limit = ShortExecutions()
    with pytest.raises(LongExecution):
        limit.run(machine, lambda: None)
    return limit


def machine() -> SimpleNamespace:
    return SimpleNamespace(short=None)


def test_machine_is_limited_during_an_execution_only(clock: Clock) -> None:
    limited = machine()
    limit = begun(limited)
    assert limit.run(limited, lambda: limited.short) is limit
    assert limited.short is None

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        limit.run(limited, fail)
    assert limited.short is None


def test_pause_is_a_hundred_times_as_long_as_the_stopped_execution(clock: Clock) -> None:
    limit, limited = begun(machine()), machine()

    def stopped() -> None:
        clock.now += MILLISECOND
        raise LongExecution("too long")

    with pytest.raises(LongExecution, match="too long"):
        limit.run(limited, stopped)
    clock.now += 99 * MILLISECOND
    with pytest.raises(LongExecution, match="just ended"):
        limit.run(limited, lambda: None)
    clock.now += 2 * MILLISECOND
    assert limit.run(limited, lambda: 7) == 7


@pytest.mark.parametrize(("milliseconds", "pauses"), [(1.9, False), (2.1, True)])
def test_execution_that_ends_after_the_time_limit_causes_a_pause(
    clock: Clock, milliseconds: float, pauses: bool
) -> None:
    limit, limited = begun(machine()), machine()

    def work() -> int:
        clock.now += milliseconds * MILLISECOND
        return 7

    assert limit.run(limited, work) == 7
    if pauses:
        with pytest.raises(LongExecution):
            limit.run(limited, work)
    else:
        assert limit.run(limited, work) == 7


def test_check_between_executions_stops_them_at_the_time_limit(clock: Clock) -> None:
    limit, limited = begun(machine()), machine()
    done = []

    def several() -> None:
        for number in range(10):
            limit.check()
            clock.now += 0.9 * MILLISECOND
            done.append(number)

    with pytest.raises(LongExecution, match=r"longer than 0\.002 s"):
        limit.run(limited, several)
    assert done == [0, 1, 2]
