"""Tests of the time limit of a re-execution."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from localnet.calls.time_limit import OutOfTime, TimeLimit


def work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def on_thread(seconds: float, limit: TimeLimit | None = None) -> None:
    def target() -> None:
        if limit is not None:
            limit.is_over  # noqa: B018  # the first look on a thread
        work(seconds)
        if limit is not None:
            limit.is_over  # noqa: B018

    thread = Thread(target=target)
    thread.start()
    thread.join()


def test_time_of_threads_that_do_not_execute_does_not_count() -> None:
    limit = TimeLimit(0.1)
    with limit.running():
        on_thread(0.2)
        limit.check()


def test_time_counts_on_each_thread_that_executes() -> None:
    limit = TimeLimit(0.1)
    with limit.running():
        limit.check()
        work(0.06)
        limit.check()
        on_thread(0.06, limit)
        with pytest.raises(OutOfTime, match=r"after 0\.1 s"):
            limit.check()


def test_time_counts_on_threads_that_have_the_number_of_an_ended_one() -> None:
    limit = TimeLimit(0.2)
    with limit.running():
        for _ in range(6):
            on_thread(0.05, limit)
        assert limit.is_over
