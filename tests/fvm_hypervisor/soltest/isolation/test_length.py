"""With `isolate`, the cost of a test's calls does not grow with their number: in executed lines, in entries.

Compiled modules execute no lines that a trace can count; for an installation with them, only the lines of the
other modules are counted.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from fvm_hypervisor.soltest.cheatcodes import Cheatcodes
from fvm_hypervisor.soltest.cheatcodes.context import Settings
from hypervisor import Hypervisor, threads
from hypervisor.state.undo_map import Journal
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.application import Application, TransactionResult
from tests.runtimes.evm.test_fast_trees import CALLEE, CONTRACT, SENDER, machine

PROJECT = Path(threads.__file__).parents[1]
COUNTED = tuple(f"{PROJECT / package}/" for package in ("runtimes", "hypervisor", "fvm_hypervisor"))
CALL = f"{{0}} 0 MSTORE 0 0 32 0 0 0x{CALLEE.hex()} GAS CALL POP"
LOOK = f"0 0 32 0 0x{CALLEE.hex()} GAS STATICCALL POP"
OWN = "{0} {0} SSTORE"
STORES = "0 CALLDATALOAD SLOAD POP 7 0 CALLDATALOAD SSTORE"
"""Code that writes 7 to the slot named by the first word."""
READS = "0 CALLDATALOAD SLOAD POP"


def lines_of(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the number of this project's lines that an action executes, on all threads that it starts and this one."""
    count, before = 0, sys.gettrace()
    ours: dict[CodeType, bool] = {}

    def line(_: FrameType, event: str, __: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        code = frame.f_code
        if code not in ours:
            ours[code] = code.co_filename.startswith(COUNTED) and code.co_filename != threads.__file__
        return line if ours[code] else None

    plain = threads._run_jobs

    def live(jobs: Any) -> None:
        sys.settrace(call)
        plain(jobs)

    with monkeypatch.context() as patched:
        patched.setattr(threads, "_run_jobs", live)  # its threads are not started by `threading`
        threading.settrace(call)
        sys.settrace(call)
        try:
            action()
        finally:
            sys.settrace(before)
            threading.settrace(None)
    return count


def apply(made: Hypervisor, accounts: Accounts | None = None) -> TransactionResult:
    """Apply one message to the contract, like a test's."""
    transaction = Transaction(DYNAMIC_FEE, None, 0, CONTRACT, 0, b"", 1 << 36, 0, 0)
    result = Application(made, transaction, SENDER, paid=False, accounts=accounts).apply_implicit()
    assert result.success, result.message
    return result


def isolated(steps: str, count: int, callee: str) -> Hypervisor:
    """Return a machine with a test contract that repeats some steps."""
    made = machine(" ".join(steps.format(number) for number in range(1, count + 1)), callee, evm="py-evm")
    Cheatcodes(Settings(isolates=True)).install(made)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "callee"), [(CALL, STORES), (f"{CALL} {LOOK} {OWN}", READS)], ids=["each writes", "between static calls"]
)
def test_call_cost_does_not_grow_with_preceding_calls(steps: str, callee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for count in (1, 10, 40, 70):  # the first run creates what is created once
        journal = Journal()

        def run(count: int = count, journal: Journal = journal) -> None:
            made = isolated(steps, count, callee)
            apply(made, Accounts(made, journal, False))
            made.close()

        counts.append((lines_of(run, monkeypatch), journal.mark()))
    for _, first, second, third in zip(*counts, strict=True):
        assert second - first > 30
        assert third - second <= 1.02 * (second - first), counts
