"""Fixtures shared by tests of the EVM runtime."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.filecoin.parameters import unwrap_return
from hypervisor.machine.machine import Hypervisor
from runtimes.evm.fast.engine import FastEngine
from tests.runtimes.evm.machines import ENGINES, LEFT, Twins, sessions


@pytest.fixture
def without_sessions() -> Iterator[None]:
    """Run transactions on the machine's calls."""
    with sessions(enabled=False):
        yield


@pytest.fixture
def trees(without_sessions: None, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count completed and abandoned trees."""
    counted: Counter[str] = Counter()
    run = FastEngine._run_as_tree

    def watched(self: FastEngine, *given: Any) -> Any:
        ended = run(self, *given)
        counted["left" if ended is None else "ended"] += 1
        return ended

    monkeypatch.setattr(FastEngine, "_run_as_tree", watched)
    return counted


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, Hypervisor]]:
    """An empty machine for each engine, to be restored after use."""
    made = {engine: Hypervisor.open(rules="ethereum", evm=engine) for engine in ENGINES}
    yield made
    for machine in made.values():
        machine.close()


@pytest.fixture
def twins(machines: dict[str, Hypervisor], trees: Counter[str]) -> Twins:
    return Twins(machines, trees)


@pytest.fixture(params=["", LEFT], ids=["one tree", "a tree for each call"])
def prefix(request: pytest.FixtureRequest) -> str:
    """Code at the beginning of the first frame."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="package")
def asking() -> Iterator[Callable[[int, bytes], bytes | None]]:
    """Return a precompile's output on the fast engine, None if it fails; number 0 is KECCAK256."""
    from tests.runtimes.evm.test_fast_trees import machine, run

    precompile = """
        32 CALLDATASIZE SUB 32 0 CALLDATACOPY
        0 CALLDATALOAD ISZERO @hash JUMPI
        0 0 32 CALLDATASIZE SUB 0 0 0 CALLDATALOAD GAS CALL @good JUMPI 0 0 REVERT
        good: RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN
        hash: 32 CALLDATASIZE SUB 0 KECCAK256 0 MSTORE 32 0 RETURN
    """
    with machine(precompile) as made:

        def ask(number: int, data: bytes) -> bytes | None:
            with made.trial():
                result = run(made, number.to_bytes(32, "big") + data)
            return unwrap_return(result.return_data) if result.exit_code == 0 else None

        yield ask
