"""Storage of a contract, and its charges.

- Storage of a contract between head block and memory: when it is written and reread. One test per rule.
- Charges of a contract's kernel operations: made together, they cost as much as one by one under a tracer.
"""

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, invoke_return
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.address import Address
from hypervisor.tracing import GasCharged, Recorder, Tracer
from hypervisor.types import EAM_ACTOR, Gas
from runtimes.evm.contracts.engine import Status
from store.cid import Cid
from store.trees.kamt import Kamt
from tests.engines.side_by_side import COMPILE, INTERPRET
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import BLOCK_LIMIT, Chain, open_machine

RETURN_SLOT = "1 SLOAD 0 MSTORE 32 0 RETURN"
ME_AGAIN = "0 0 0 0 0 ADDRESS GAS CALL"


def slots(chain: Chain, contract: bytes) -> dict[int, int]:
    storage = chain.state(EthAddress(contract)).storage
    assert storage is not None
    return dict(Kamt(chain.machine.store, storage).items())


def reentering(inner: str, outer: str) -> bytes:
    """Return a program that runs `inner` if called by itself, and `outer` otherwise."""
    return assemble(f"CALLER ADDRESS EQ @inner JUMPI {outer} STOP inner: {inner} STOP")


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_a_successful_frame_writes_its_slots(chain: Chain) -> None:
    contract = chain.deploy(assemble("7 1 SSTORE"))
    chain.call(contract)
    assert slots(chain, contract) == {1: 7}


def test_slot_set_to_zero_is_deleted(chain: Chain) -> None:
    contract = chain.deploy(assemble("CALLVALUE 1 SSTORE"))
    empty = chain.state(contract).storage
    chain.call(contract, value=5)
    assert slots(chain, contract) == {1: 5}
    chain.call(contract)
    assert chain.state(contract).storage == empty


def test_reverted_frame_writes_no_storage(chain: Chain) -> None:
    contract = chain.deploy(assemble("7 1 SSTORE 0 0 REVERT"))
    before = chain.state(contract)
    assert chain.invoke(contract).exit_code == Status.REVERT
    assert chain.state(contract) == before


def test_frame_without_changes_leaves_actor_head(chain: Chain) -> None:
    contract = chain.deploy(assemble("7 1 SSTORE"))
    chain.call(contract)
    before = chain.machine.actor(to_filecoin(contract))
    chain.call(contract)
    assert chain.machine.actor(to_filecoin(contract)) == before


def test_a_write_before_a_call_is_seen_by_the_reentered_frame(chain: Chain) -> None:
    program = reentering(RETURN_SLOT, "7 1 SSTORE 32 0 0 0 0 ADDRESS GAS CALL POP 0 MLOAD 0 MSTORE 32 0 RETURN")
    assert int.from_bytes(chain.call(chain.deploy(program)), "big") == 7


def test_a_write_of_the_reentered_frame_is_seen_by_the_outer_one(chain: Chain) -> None:
    contract = chain.deploy(reentering("9 1 SSTORE", f"7 1 SSTORE {ME_AGAIN} POP {RETURN_SLOT}"))
    assert int.from_bytes(chain.call(contract), "big") == 9
    assert slots(chain, contract) == {1: 9}


def test_a_write_of_a_reentered_frame_that_reverts_is_not(chain: Chain) -> None:
    contract = chain.deploy(reentering("9 1 SSTORE 0 0 REVERT", f"7 1 SSTORE {ME_AGAIN} POP {RETURN_SLOT}"))
    assert int.from_bytes(chain.call(contract), "big") == 7
    assert slots(chain, contract) == {1: 7}


def test_a_delegate_call_to_oneself_writes_to_the_same_slots(chain: Chain) -> None:
    program = assemble(f"""
        1 SLOAD @inner JUMPI
        7 1 SSTORE  0 0 0 0 ADDRESS GAS DELEGATECALL POP {RETURN_SLOT}
        inner: 1 1 SLOAD ADD 1 SSTORE STOP
    """)
    contract = chain.deploy(program)
    assert int.from_bytes(chain.call(contract), "big") == 8


def test_a_static_frame_reads_and_may_not_write(chain: Chain) -> None:
    writer = chain.deploy(assemble("7 1 SSTORE"))
    address = int.from_bytes(writer, "big")
    caller = chain.deploy(assemble(f"0 0 0 0 {address} GAS STATICCALL 0 MSTORE 32 0 RETURN"))
    assert int.from_bytes(chain.call(caller), "big") == 0
    assert slots(chain, writer) == {}


def test_a_bare_transfer_runs_no_code_and_keeps_the_head(chain: Chain) -> None:
    contract = chain.deploy(assemble("7 1 SSTORE"))
    before = chain.state(contract)
    assert chain.send(to_filecoin(contract), 0, value=9).exit_code == ExitCode.OK
    assert chain.state(contract) == before
    assert chain.balance(to_filecoin(contract)) == 9


def test_selfdestruct_in_reentered_frame_survives_outer_flush(chain: Chain) -> None:
    contract = chain.deploy(reentering("9 SELFDESTRUCT", f"{ME_AGAIN} POP 7 1 SSTORE"))
    assert chain.invoke(contract).exit_code == ExitCode.OK
    state = chain.state(contract)
    assert state.tombstone is not None
    assert slots(chain, contract) == {1: 7}


def test_destroyed_contract_returns_nothing_from_next_message(chain: Chain) -> None:
    contract = chain.deploy(assemble("CALLVALUE @die JUMPI 32 0 RETURN die: 9 SELFDESTRUCT"), value=3)
    assert len(chain.call(contract)) == 32
    chain.call(contract, value=1)
    assert chain.call(contract) == b""
    assert chain.balance(to_filecoin(contract)) == 0
    chain.call(contract, value=2)
    assert chain.balance(to_filecoin(contract)) == 2


def test_transient_slots_last_for_the_message(chain: Chain) -> None:
    program = reentering(
        "1 TLOAD 0 MSTORE 32 0 RETURN",
        """
        1 TLOAD 32 MSTORE  7 1 TSTORE  32 0 0 0 0 ADDRESS GAS CALL POP  64 0 RETURN
    """,
    )
    contract = chain.deploy(program)
    for _ in range(2):
        inner, outer = (int.from_bytes(part, "big") for part in _halves(chain.call(contract)))
        assert (inner, outer) == (7, 0)
    assert chain.state(contract).transient is not None


def test_transient_slots_of_reverted_frame_are_discarded(chain: Chain) -> None:
    contract = chain.deploy(reentering("7 1 TSTORE 0 0 REVERT", f"{ME_AGAIN} POP 1 TLOAD 0 MSTORE 32 0 RETURN"))
    assert int.from_bytes(chain.call(contract), "big") == 0


def test_the_nonce_of_a_failed_creation_stays_used_up(chain: Chain) -> None:
    contract = chain.deploy(assemble("0xfe 0 MSTORE8 1 0 0 CREATE 0 MSTORE 32 0 RETURN"))
    assert int.from_bytes(chain.call(contract), "big") == 0
    assert chain.state(contract).nonce == 2


def test_reverting_constructor_creates_nothing_and_returns_data(chain: Chain) -> None:
    reverting = assemble("0xab 0 MSTORE8 1 0 REVERT")
    before = chain.machine.state_tree.init_state()
    result = chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(reverting))
    assert result.exit_code == Status.REVERT
    assert invoke_return(result.return_data) == b"\xab"
    assert chain.machine.state_tree.init_state() == before


def _halves(data: bytes) -> tuple[bytes, bytes]:
    return data[:32], data[32:]


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


@pytest.mark.parametrize("engine", ["py-evm", "fast", INTERPRET, COMPILE])
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
