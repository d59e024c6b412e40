"""Concurrent messages of two machines on the engine's instances do not affect each other.

While a frame of the first message waits for its callee, a frame of the second starts.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from bridge.ethereum.addresses import masked_id
from hypervisor.errors import Fatal
from hypervisor.types import INIT_ACTOR
from runtimes.evm.engine import Frame, Host, Step
from runtimes.evm.fast.engine import FastEngine
from runtimes.evm.fast.instance import FastInstance
from runtimes.evm.fast.pool import TIERED, Pool, pool
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain
from tests.runtimes.evm.test_fast_engine import open_under

_SOON = 10.0
_LEAVES = f"0x{masked_id(INIT_ACTOR).hex()} BALANCE POP "
"""Code that reads a native actor's balance, after which the frame waits for its callees in every rule set."""
_CALLS = _LEAVES + "0 0 0 0 0 0x{0} GAS CALL 0 MSTORE 32 0 RETURN"
"""A contract that returns whether its call succeeded."""
_INNER, _BESIDE = assemble("1 5 SSTORE"), assemble(_LEAVES + "1 6 SSTORE")

Planted = Callable[[FastInstance, threading.Event], None]
"""An action at the start of the second message's frame; the event is set when the first message has ended."""


def both(monkeypatch: pytest.MonkeyPatch, rules: str, planted: Planted) -> tuple[int, Callable[[], bytes]]:
    """Return the first message's result, and a function that returns the second's."""
    start, run = FastEngine._start, FastInstance.run
    begun, ended, second_thread, asked = threading.Event(), threading.Event(), set[int](), list[Future[bytes]]()
    with open_under(rules) as machine, open_under(rules) as other, ThreadPoolExecutor(1) as threads:
        chain, beside = Chain(machine), Chain(other)
        contract, second = chain.deploy(assemble(_CALLS.format(chain.deploy(_INNER).hex()))), beside.deploy(_BESIDE)

        def watched(engine: FastEngine, frame: Frame, host: Host) -> Step:
            if frame.code.data == _INNER and not asked:
                asked.append(threads.submit(beside.call, second))
                assert begun.wait(_SOON)
            elif frame.code.data == _BESIDE:
                second_thread.add(threading.get_ident())
            return start(engine, frame, host)

        def run_planted(instance: FastInstance, command: int, host: Host) -> int:
            if threading.get_ident() in second_thread and not begun.is_set():
                begun.set()
                planted(instance, ended)
            return run(instance, command, host)

        with monkeypatch.context() as patched:
            patched.setattr(FastEngine, "_start", watched)
            patched.setattr(FastInstance, "run", run_planted)
            try:
                result = chain.call(contract)
            finally:
                ended.set()
            (results,) = asked
            results.exception(_SOON)
        return int.from_bytes(result, "big"), results.result


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_waiting_frame_resumes_beside_another_call(monkeypatch: pytest.MonkeyPatch, rules: str) -> None:
    in_time: list[bool] = []
    result, other = both(monkeypatch, rules, lambda _, ended: in_time.append(ended.wait(_SOON)))
    assert (result, other(), in_time) == (1, b"", [True])


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_engine_failure_does_not_break_concurrent_message(monkeypatch: pytest.MonkeyPatch, rules: str) -> None:
    def fail(instance: FastInstance, _: threading.Event) -> None:
        raise instance.failed(ValueError("a defect"))

    result, other = both(monkeypatch, rules, fail)
    assert result == 1
    with pytest.raises(Fatal, match="a defect"):
        other()
    assert not any(instance.broken for instance in pool(TIERED)._instances)


def test_a_message_has_one_instance_however_many_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the space for its frames would depend on concurrent messages."""
    taken: list[FastInstance] = []
    acquire = Pool.acquire

    def noted(self: Pool, message: object) -> FastInstance:
        taken.append(acquire(self, message))
        return taken[-1]

    with open_under("filecoin") as machine:
        chain = Chain(machine)
        contract = chain.deploy(assemble(_CALLS.format(chain.deploy(_INNER).hex())))
        first = pool(TIERED).acquire(chain)  # held while the message prefix, and free when its callee does
        monkeypatch.setattr(Pool, "acquire", noted)
        start = FastEngine._start

        def watched(engine: FastEngine, frame: Frame, host: Host) -> Step:
            if frame.code.data == _INNER:
                pool(TIERED).release(first)
            return start(engine, frame, host)

        monkeypatch.setattr(FastEngine, "_start", watched)
        chain.call(contract)
    assert len(taken) == 2
    assert taken[0] is taken[1] is not first
    assert all(instance.owner is None for instance in taken)
