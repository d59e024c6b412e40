"""Sequential jobs on a thread: after any outcome of a job, the next one runs."""

import asyncio
import logging
import threading
from functools import partial

import pytest

from localnet.rpc.serial_thread import SerialThread
from localnet.rpc.server.worker import RequestThread


def test_jobs_run_in_order_between_start_and_end() -> None:
    order = list[object]()
    thread = SerialThread("serial", lambda: order.append(threading.current_thread().name))
    for number in range(100):
        thread.put(partial(order.append, number))
    thread.end()
    assert order == ["serial", *range(100)]


def test_a_job_that_fails_is_logged_and_the_next_one_is_done(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        raise KeyboardInterrupt("late")

    thread = SerialThread("serial", lambda: None)
    with caplog.at_level(logging.ERROR):
        thread.put(fails)
        assert thread.submit(lambda: "done").result(20) == "done"
    thread.end()
    assert "a job of the thread serial failed" in caplog.text


def test_work_exception_is_raised_by_result() -> None:
    def fails() -> None:
        raise LookupError("none")

    thread = SerialThread("serial", lambda: None)
    with pytest.raises(LookupError, match="none"):
        thread.submit(fails).result(20)
    thread.end()


def test_job_after_thread_end_is_rejected() -> None:
    thread = SerialThread("serial", lambda: None)
    thread.end()
    thread.end()  # a second time it has ended
    with pytest.raises(RuntimeError, match="serial has ended"):
        thread.put(lambda: None)


def test_request_of_closed_loop_does_not_block_the_next() -> None:
    worker, begun, go_on = RequestThread(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(20)

    async def leave() -> None:
        asked = asyncio.create_task(worker.run(work))
        await asyncio.to_thread(begun.wait, 20)
        asked.cancel()

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(worker.run(lambda: "answer")) == "answer"
    assert not worker.should_yield()
    worker.stop()
