"""Intercepted and simulated calls.

- Interception of frames: calls, delegate calls and creations for another account, other blocks.
- Simulated calls: the result of the transaction without any write.

Expected: the execution specifications for a call, delegate call or creation by the account in whose name it is made.

Expected: the result of the same call as a transaction.
"""

from dataclasses import replace
from typing import Final

import pytest

from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.ethereum.execution import SimulatedCall
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CreateReturn, unwrap_return
from bridge.filecoin.receipts import Log
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from runtimes.evm.engine import CallInputs, SubcallInputs, SubcallOutcome
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from runtimes.evm.ethereum.executor import EthereumExecutor
from runtimes.evm.ethereum.host import EthereumHost
from store.cid import Cid
from tests.hypervisor.world import IgnoringTracer
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import Frames, create
from tests.runtimes.evm.test_fast_frames import CONTRACT, SENDER, machine

ORIGIN, TARGET, CALLEE, OTHER = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC, 0xDD))


def framed_machine(contract: str, callee: str = "CALLER 0 MSTORE 32 0 RETURN", other: int = 0) -> Hypervisor:
    made = Hypervisor.open(rules="ethereum")
    made.advance(block=EthereumBlock(gas_limit=1 << 40))
    install_alloc(made, {
        ORIGIN: AllocAccount(10**20),
        TARGET: AllocAccount(0, 1, assemble(contract)),
        CALLEE: AllocAccount(0, 1, assemble(callee)),
        OTHER: AllocAccount(other, 7),
    })  # fmt: skip
    return made


def run(made: Hypervisor, gas: int = 5_000_000) -> bytes:
    message = Message(to_filecoin(TARGET), to_filecoin(ORIGIN), method=INVOKE_EVM, gas_limit=Gas(gas))
    result = made.apply_implicit(message)
    assert result.receipt.exit_code == 0, result
    return unwrap_return(result.receipt.return_data)


def test_call_with_replaced_caller_spends_its_balance() -> None:
    call = "32 0 0 0 5 0xcccccccccccccccccccccccccccccccccccccccc 100000 CALL POP 32 0 RETURN"
    made = framed_machine(call, other=5)
    made.interceptor = Frames(OTHER)
    assert run(made)[12:] == OTHER
    assert [made.balance(to_filecoin(address)) for address in (TARGET, CALLEE, OTHER)] == [0, 5, 0]


def test_delegatecall_with_replaced_context_writes_its_slots() -> None:
    call = "32 0 0 0 0xcccccccccccccccccccccccccccccccccccccccc 100000 DELEGATECALL POP 32 0 RETURN"
    made = framed_machine(call, "9 1 SSTORE ADDRESS CALLER EQ CALLER MUL 0 MSTORE 32 0 RETURN")
    made.interceptor = Frames(CALLEE)
    assert run(made)[12:] == CALLEE  # caller and address both


def test_create_with_replaced_caller_uses_that_accounts_nonce() -> None:
    made = framed_machine("0 0 0 CREATE 0 MSTORE 32 0 RETURN")
    made.interceptor = Frames(OTHER)
    assert run(made)[12:] == create_address(OTHER, 7)


def test_interceptor_outcome_is_returned_to_frame() -> None:
    made = framed_machine("32 0 0 0 0 0xcccccccccccccccccccccccccccccccccccccccc 100000 CALL POP 32 0 RETURN")
    made.interceptor = Frames(answers=lambda host, inputs: SubcallOutcome(True, b"\x11" * 32))
    assert run(made) == b"\x11" * 32


@pytest.mark.parametrize(
    ("field", "opcode"), [("epoch", "NUMBER"), ("timestamp", "TIMESTAMP"), ("chain_id", "CHAINID")]
)
def test_block_context_change_reaches_the_running_frame(field: str, opcode: str) -> None:
    def change(host: EthereumHost, inputs: SubcallInputs) -> SubcallOutcome | None:
        assert isinstance(inputs, CallInputs)
        host.calls.machine.context = replace(host.calls.machine.context, **{field: 77})  # type: ignore[arg-type]  # a field by name
        host.calls.renew_block()
        return SubcallOutcome(True)

    made = framed_machine(
        f"{opcode} POP 0 0 0 0 0 0xcc 100000 CALL {opcode} 0 MSTORE 32 0 RETURN".replace(" 0xcc ", " 1 ")
    )
    made.interceptor = Frames(answers=change)
    assert int.from_bytes(run(made), "big") == 77


def test_code_set_at_filecoin_precompile_address_overrides_it() -> None:
    call = f"32 0 0 0 0 {(0xFE << 152) + 5:#x} 100000 CALL POP 32 0 RETURN"
    made = framed_machine(call)
    install_alloc(
        made,
        {EthAddress(((0xFE << 152) + 5).to_bytes(20, "big")): AllocAccount(0, 1, assemble("3 0 MSTORE 32 0 RETURN"))},
    )
    assert int.from_bytes(run(made), "big") == 3


def test_interceptor_receives_logs_and_slot_accesses() -> None:
    made = framed_machine("1 0 MSTORE 5 32 0 LOG1 7 SLOAD POP 9 8 SSTORE")
    made.interceptor = frames = Frames()
    run(made)
    word = (1).to_bytes(32, "big")
    log = Log(((5).to_bytes(32, "big"),), word)
    assert frames.seen == [(TARGET, log), (TARGET, 7, None), (TARGET, 8, 9)]


@pytest.mark.parametrize(("limit", "made_one"), [(24_576, False), (None, True)])
def test_oversized_code_is_deployed_without_code_size_limit(limit: int | None, made_one: bool) -> None:
    init = assemble("24577 0 RETURN")  # so many zero bytes of code
    word = int.from_bytes(init.ljust(32, b"\0"), "big")
    made = framed_machine(f"{word} 0 MSTORE {len(init)} 0 0 CREATE 0 MSTORE 32 0 RETURN")
    made.advance(block=EthereumBlock(gas_limit=1 << 40, code_limit=limit))
    assert any(run(made, gas=1 << 40)) == made_one


GAS = 1_000_000
WRITES = "7 1 SSTORE 1 SLOAD 0 MSTORE 9 32 0 LOG1 32 0 RETURN"


def head(made: Hypervisor) -> Cid:
    """Return the contract's state as currently written."""
    actor = made.actor(to_filecoin(CONTRACT))
    assert actor is not None
    return actor.head


LOGS: Final = "0 0 LOG0 0 0 RETURN"
REFUNDED: Final = "1 1 SSTORE 0 1 SSTORE " + WRITES
CREATES: Final = f"{create(assemble(LOGS))} 0 MSTORE 32 0 LOG0 32 0 RETURN"
"""Creates a contract whose init code emits a log, and logs its address."""
LONG: Final = " ".join(f"1 {slot} SSTORE" for slot in range(8, 16)) + f" {REFUNDED}"
"""Uses more gas than a first call without kernel may."""


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize(("program", "logs"), [(WRITES, 1), (REFUNDED, 1), (CREATES, 2), (LONG, 1)])
def test_simulation_matches_transaction_and_writes_nothing(program: str, logs: int, evm: str) -> None:
    with machine(program, evm=evm) as made:
        executor, before = EthereumExecutor(made), head(made)
        with made.trial():
            asked = executor.simulate(SimulatedCall(SENDER, CONTRACT, GAS))
            assert head(made) == before
        done = executor.apply_transaction(Transaction(DYNAMIC_FEE, None, 0, CONTRACT, 0, b"", GAS, 0, 0), SENDER)
        assert head(made) != before
    assert (asked.exit_code, asked.gas_used, asked.return_data) == (done.exit_code, done.gas_used, done.output)
    assert asked.events == done.events
    assert len(asked.events) == logs


def test_a_question_that_is_traced_writes_for_the_tracer_to_see() -> None:
    with machine(WRITES) as made:
        made.tracer, before = IgnoringTracer(), head(made)
        with made.trial():
            EthereumExecutor(made).simulate(SimulatedCall(SENDER, CONTRACT, GAS))
            assert head(made) != before


def test_code_that_a_question_creates_can_be_read() -> None:
    with machine("") as made, made.trial():
        asked = EthereumExecutor(made).simulate(SimulatedCall(SENDER, None, GAS, data=deployer(assemble(WRITES))))
        created = CreateReturn.decode(asked.return_data).actor
        actor = made.state_tree.get_actor(created)
        assert actor is not None
        state = EvmState.decode(made.store.get(actor.head))
        assert made.store.get(state.bytecode) == assemble(WRITES)
