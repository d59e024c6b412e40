"""Fixtures shared by tests of the EVM runtime."""

from collections.abc import Callable, Iterator

import pytest

from bridge.filecoin.parameters import unwrap_return
from hypervisor.machine.machine import Hypervisor
from tests.runtimes.evm.machines import ENGINES, Twins


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, Hypervisor]]:
    """An empty machine for each engine, to be restored after use."""
    made = {engine: Hypervisor.open(rules="ethereum", evm=engine) for engine in ENGINES}
    yield made
    for machine in made.values():
        machine.close()


@pytest.fixture
def twins(machines: dict[str, Hypervisor]) -> Twins:
    return Twins(machines)


@pytest.fixture(scope="package")
def asking() -> Iterator[Callable[[int, bytes], bytes | None]]:
    """Return a precompile's output on the fast engine, None if it fails; number 0 is KECCAK256."""
    from tests.runtimes.evm.revm.test_session_calls import machine, run

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
