"""Charges of a contract's kernel operations: made together, they cost as much as one by one under a tracer."""

import pytest

from hypervisor.machine.executor import ApplyResult
from hypervisor.tracing import GasCharged, Recorder, Tracer
from hypervisor.types import Gas
from runtimes.evm.engines import ENGINES
from store.cid import Cid
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import BLOCK_LIMIT, Chain, open_machine

CALLDATA = bytes(range(1, 33))
PROGRAM = """
0 CALLDATALOAD 1 SSTORE  0 CALLDATALOAD 2 SSTORE  7 SLOAD POP
CALLER BALANCE POP  ADDRESS EXTCODESIZE POP  SELFBALANCE POP
0 CALLDATALOAD 0 MSTORE  32 0 RETURN
"""
"""Reads the contract's state and code, writes two slots, looks up other actors, and returns 32 bytes."""


def outcome(chain: Chain, contract: bytes, tracer: Tracer | None, limit: Gas) -> tuple[ApplyResult, Cid]:
    """Return the result of a call and the state after it, which is undone."""
    nonce = chain.nonce
    before = chain.machine.snapshot()
    chain.machine.tracer = tracer
    try:
        result = chain.invoke(contract, CALLDATA, gas_limit=limit)  # type: ignore[arg-type]  # an address as bytes
        return result, chain.machine.root
    finally:
        chain.machine.tracer, chain.nonce = None, nonce
        chain.machine.restore(before)


@pytest.fixture
def charges_chain() -> Chain:
    return Chain(open_machine())


@pytest.mark.parametrize("engine", ENGINES)
def test_gas_of_a_message_is_the_sum_of_its_traced_charges(engine: str) -> None:
    chain = Chain(open_machine(evm=engine))
    contract = chain.deploy(assemble(PROGRAM))
    outcome(chain, contract, None, BLOCK_LIMIT)  # loads the blocks
    recorder = Recorder()
    outcome(chain, contract, recorder, BLOCK_LIMIT)
    milligas = sum(event.milligas for event in recorder.events if isinstance(event, GasCharged))
    result, _ = outcome(chain, contract, None, BLOCK_LIMIT)
    assert result.exit_code == 0
    assert result.gas_used == -(-milligas // 1000)


@pytest.mark.slow
def test_a_limit_stops_a_message_at_the_same_charge_with_and_without_tracer(charges_chain: Chain) -> None:
    contract = charges_chain.deploy(assemble(PROGRAM))
    whole, _ = outcome(charges_chain, contract, None, BLOCK_LIMIT)
    exits = set()
    for limit in (*range(whole.gas_used - 40, whole.gas_used + 5), *range(0, whole.gas_used, whole.gas_used // 150)):
        traced, alone = (outcome(charges_chain, contract, tracer, Gas(limit or 1)) for tracer in (Recorder(), None))
        assert alone == traced, limit
        exits.add(int(alone[0].exit_code))
    assert exits == {0, 7}  # SYS_OUT_OF_GAS, also for a limit below the price of inclusion
