"""A transaction's first call run as a whole tree: what it supports, and when it falls back to the usual execution.

Expected: the plain engine's results.
"""

import threading
from collections import Counter
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.fast.engine import FastEngine
from runtimes.evm.fast.instance import FastInstance
from runtimes.evm.fast.pool import pool
from tests.hypervisor.world import IgnoringTracer
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.test_fast_trees import CALL_CALLEE, CALLEE, CONTRACT, machine, run

OTHER = EthAddress(bytes([0xDD]) * 20)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts of calls run at once on this thread, of other calls, of state passed to the guest, and of callbacks.

    Machines made after this have an instance without any cached state.
    """
    pool.cache_clear()
    counted: Counter[str] = Counter()
    run_concurrently, tell, result = FastEngine.run_tree, FastInstance.supply, FastInstance.execute_host_call

    def watched(self: FastEngine, *given: Any) -> Any:
        assert threading.current_thread() is threading.main_thread()
        ended = run_concurrently(self, *given)
        counted["not" if ended is None else "at once"] += 1
        return ended

    def counts(name: str, function: Any) -> Any:
        def count(*given: Any) -> Any:
            counted[name] += 1
            return function(*given)

        return count

    monkeypatch.setattr(FastEngine, "run_tree", watched)
    monkeypatch.setattr(FastInstance, "supply", counts("told", tell))
    monkeypatch.setattr(FastInstance, "execute_host_call", counts("asked", result))
    return counted


def run_both(contract: str, callee: str = "", gas: int = 10_000_000, times: int = 2) -> None:
    """Run messages on both engines and assert equal exit codes, gas, events and accounts."""
    results: list[Any] = []
    for evm in ("py-evm", "fast"):
        with machine(contract, callee, evm) as made:
            install_alloc(made, {OTHER: AllocAccount(3, 1, assemble("0 SLOAD 1 ADD 0 SSTORE"), {0: 7, 1: 1})})
            applied = [run(made, gas=gas, nonce=nonce) for nonce in range(times)]
            results.append(([(each.receipt, each.events) for each in applied], dict(read_alloc(made)), made.flush()))
    assert results[0] == results[1]


MEETS = {
    "its own slots": "1 SLOAD 1 ADD DUP1 1 SSTORE 2 SSTORE 2 SLOAD 3 SSTORE 0 1 SSTORE",
    "a slot again, memory and a log": "5 SLOAD 0 MSTORE 9 9 SSTORE 64 0 9 SLOAD LOG1 9 SLOAD 0 MSTORE 32 0 RETURN",
    "accounts": f"0x{CALLEE.hex()} BALANCE 1 SSTORE 0x{OTHER.hex()} EXTCODESIZE 2 SSTORE 0x{'77' * 20} EXTCODEHASH POP",
    "the block": "TIMESTAMP 1 SSTORE NUMBER CHAINID BASEFEE GASLIMIT COINBASE GASPRICE ADD ADD ADD ADD ADD 2 SSTORE",
    "transient slots": "3 1 TSTORE 1 TLOAD 2 TLOAD ADD 1 SSTORE",
    "a call": f"1 SLOAD 5 1 SSTORE {CALL_CALLEE} 2 SSTORE 1 SLOAD 3 SSTORE GAS 4 SSTORE",
    "a call with money": f"32 0 0 0 2 0x{OTHER.hex()} GAS CALL 2 SSTORE SELFBALANCE 1 SSTORE",
    "memory, then a call": f"7 4096 MSTORE 9 8192 9 4096 0 0x{OTHER.hex()} GAS CALL MSIZE ADD 2 SSTORE GAS 4 SSTORE",
    "a delegate call": f"0 0 0 0 0x{OTHER.hex()} GAS DELEGATECALL 3 SSTORE",
    "code": f"32 0 0 0x{OTHER.hex()} EXTCODECOPY 0 MLOAD 1 SSTORE GAS 2 SSTORE",
    "a creation": "3 0 0 CREATE 2 SSTORE 0x77 3 1 1 CREATE2 3 SSTORE GAS 4 SSTORE",
    "a revert below": f"1 1 SSTORE 32 0 0 0 0 0x{OTHER.hex()} 30 CALL 2 SSTORE GAS 3 SSTORE",
    "its own end": f"0x{OTHER.hex()} SELFDESTRUCT",
}


@pytest.mark.parametrize("meets", MEETS.values(), ids=MEETS)
def test_transaction_inputs_are_supplied_without_callbacks(done: Counter[str], meets: str) -> None:
    run_both(meets, "0 SLOAD 1 ADD DUP1 0 SSTORE 0 MSTORE 32 0 RETURN")
    assert (done["at once"], done["not"], done["asked"]) == (2, 0, 0)
    assert done["told"] >= 1


@pytest.mark.parametrize("gas", range(21_000, 80_000, 1_103))
def test_gas_is_exact_wherever_it_ends(done: Counter[str], gas: int) -> None:
    run_both(f"{MEETS['a call']} {MEETS['code']}", "0 SLOAD 1 ADD DUP1 0 SSTORE 0 MSTORE 32 0 REVERT", gas, times=1)


def test_revert_leaves_only_gas_charge(done: Counter[str]) -> None:
    run_both(f"9 9 SSTORE {CALL_CALLEE} POP 32 0 0 LOG1 32 0 REVERT", "1 SLOAD 1 SSTORE 0 0 0 LOG1")
    assert (done["at once"], done["asked"]) == (2, 0)


@pytest.mark.parametrize(
    "meets",
    [
        "loop: GAS 20000 LT @loop JUMPI 1 1 SSTORE",  # longer than what may begin anew
        "32 0 32 0 0 1 GAS CALL 1 SSTORE",  # ecrecover is the host's
        "ORIGIN 1 SSTORE",
        "1 1 SSTORE INVALID",
    ],
    ids=["long", "precompile", "question", "failure"],
)
@pytest.mark.oracle
def test_frames_unfit_for_fast_path_take_usual_path(done: Counter[str], meets: str) -> None:
    run_both(f"4 4 SSTORE {CALL_CALLEE} POP {meets}", "4 4 SSTORE 0 0 0 LOG1")
    assert (done["at once"], done["not"]) == (0, 2)


def test_a_tracer_sees_every_frame(done: Counter[str]) -> None:
    with machine("1 1 SSTORE") as made:
        made.tracer = IgnoringTracer()
        assert run(made).exit_code == 0
    assert done["at once"] == 0


def test_exception_between_parts_keeps_state_and_engine_intact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Rung(BaseException):
        """Exception raised by the alarm."""

    tell, rings = FastInstance.supply, [1]

    def ring(self: FastInstance, *given: Any) -> bool:
        rings[0] -= 1
        if rings[0] == 0:
            raise Rung
        return tell(self, *given)

    monkeypatch.setattr(FastInstance, "supply", ring)
    with machine(f"1 1 SSTORE {CALL_CALLEE} 2 SSTORE", "1 1 SSTORE") as made:
        before = made.flush()
        with pytest.raises(Rung):
            run(made)
        assert made.flush() == before
        assert run(made).exit_code == 0
        assert dict(read_alloc(made))[CONTRACT].storage == {1: 1, 2: 1}
