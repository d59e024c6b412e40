"""The py-evm engine.

- The py-evm engine alone: how frames end, the calls they make, and their host calls.
- Ctrl-C while a contract runs: the frame ends soon, and the machine is as it was.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import masked_id
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor.context import MachineContext
from hypervisor.errors import ActorExit, Fatal, OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.address import Address
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, Gas, TokenAmount
from runtimes.evm.contracts.engine import CallInputs, CallKind, CreateInputs, FrameOutcome, Status, SubcallOutcome
from runtimes.evm.contracts.opcodes import OPCODE_NUMBERS
from runtimes.evm.frames.py_evm import PyEvmEngine, PyEvmTable
from runtimes.evm.frames.py_evm_opcodes import OPCODE_FUNCTIONS
from tests.patience import ENDLESS_WORDS, alarm_clock, slowness
from tests.runtimes.evm.assembler import assemble, returned_word
from tests.runtimes.evm.chain import Chain, open_machine
from tests.runtimes.evm.machines import CALLER, MYSELF, ORIGIN, OTHER, RULES, TABLE, FakeHost, frame_of, rules_of, run

U256 = (1 << 256) - 1
words = st.integers(0, U256)


def word(code: bytes, host: FakeHost | None = None, **frame: Any) -> int:
    outcome = run(code, host, **frame)
    assert isinstance(outcome, FrameOutcome)
    assert outcome.status is Status.SUCCESS
    return int.from_bytes(outcome.data, "big")


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("", Status.SUCCESS),
        ("STOP", Status.SUCCESS),
        ("1 2 ADD", Status.SUCCESS),
        ("0 0 REVERT", Status.REVERT),
        ("INVALID", Status.INVALID_INSTRUCTION),
        ("ADD", Status.STACK_UNDERFLOW),
        ("again: 1 @again JUMP", Status.STACK_OVERFLOW),
        ("4294967296 MLOAD", Status.ILLEGAL_MEMORY_ACCESS),
        ("4294967295 MLOAD", Status.ILLEGAL_MEMORY_ACCESS),
        ("1 0 0 RETURNDATACOPY", Status.ILLEGAL_MEMORY_ACCESS),
        ("3 JUMP", Status.BAD_JUMPDEST),
        ("0x5b 1 JUMP", Status.BAD_JUMPDEST),
        (f"{U256} JUMP", Status.BAD_JUMPDEST),
        ("1 3 JUMPI", Status.BAD_JUMPDEST),
    ],
)
def test_a_frame_ends_with_the_exit_code_of_the_official_actor(program: str, status: Status) -> None:
    outcome = run(assemble(program))
    assert isinstance(outcome, FrameOutcome)
    assert outcome.status is status
    assert outcome.status in (Status.SUCCESS, Status.REVERT) or not outcome.data


@pytest.mark.parametrize("byte", [0x0C, 0x21, 0x49, 0x4A, 0xA5, 0xF2, 0xF6, 0xEF])
def test_a_byte_that_is_no_opcode_of_filecoin_is_undefined(byte: int) -> None:
    assert run(bytes([byte])) == FrameOutcome(Status.UNDEFINED_INSTRUCTION)


@pytest.mark.parametrize(
    "program",
    ["1 1 SSTORE", "1 1 TSTORE", "0 0 LOG0", "0 0 0 CREATE", "0 0 0 0 CREATE2", "0 SELFDESTRUCT",
     "0 0 0 0 1 0 GAS CALL"],
)  # fmt: skip
def test_static_frame_refuses_state_changes(program: str) -> None:
    assert run(assemble(program), static=True) == FrameOutcome(Status.READ_ONLY)


def test_a_static_frame_may_call_without_value() -> None:
    assert isinstance(run(assemble("0 0 0 0 0 0 GAS CALL"), static=True), CallInputs)


def test_frame_result_holds_returned_or_reverted_data() -> None:
    assert run(returned_word("42")) == FrameOutcome(Status.SUCCESS, (42).to_bytes(32, "big"))
    assert run(assemble("7 0 MSTORE8 1 0 REVERT")) == FrameOutcome(Status.REVERT, b"\x07")


@given(words)
def test_clz_counts_the_leading_zero_bits(number: int) -> None:
    assert word(returned_word(f"{number} CLZ")) == 256 - len(f"{number:b}".lstrip("0"))


def test_the_context_opcodes_read_the_host() -> None:
    expected = {
        "ADDRESS": int.from_bytes(MYSELF, "big"), "CALLER": int.from_bytes(CALLER, "big"), "CALLVALUE": 5,
        "ORIGIN": int.from_bytes(ORIGIN, "big"), "GASPRICE": 11, "COINBASE": 0, "NUMBER": 12, "TIMESTAMP": 13,
        "GASLIMIT": 14, "CHAINID": 15, "BASEFEE": 16, "SELFBALANCE": 1000, "PREVRANDAO": int("44" * 32, 16),
        "CALLDATASIZE": 3, "RETURNDATASIZE": 0,
    }  # fmt: skip
    assert {name: word(returned_word(name), value=5, calldata=b"abc") for name in expected} == expected


def test_addresses_are_the_low_twenty_bytes_of_a_word() -> None:
    dirty = int.from_bytes(b"\xff" * 12 + OTHER, "big")
    assert word(returned_word(f"{dirty} BALANCE")) == 7
    assert word(returned_word(f"{dirty} EXTCODESIZE")) == 2
    assert word(returned_word(f"{dirty} EXTCODEHASH")) == int("c0" * 32, 16)


def test_extcodecopy_fills_up_with_zeros() -> None:
    program = assemble(
        f"{U256} 0 MSTORE 4 1 30 {int.from_bytes(OTHER, 'big')} EXTCODECOPY 0 MLOAD 0 MSTORE 32 0 RETURN"
    )
    assert word(program) == (U256 >> 16 << 16) | 0x0100


def test_block_hashes_come_from_the_host() -> None:
    assert word(returned_word("11 BLOCKHASH")) == 11
    assert word(returned_word("12 BLOCKHASH")) == 0


def test_storage_goes_through_the_host() -> None:
    host = FakeHost()
    run(assemble("9 1 SSTORE 8 1 TSTORE"), host)
    assert (host.storage, host.transient) == ({1: 9}, {1: 8})
    assert word(returned_word("1 SLOAD 1 TLOAD ADD"), host) == 17


def test_logs_carry_topics_in_order_and_data() -> None:
    host = FakeHost()
    run(assemble("0xabcd 0 MSTORE 2 1 2 30 LOG2"), host)
    assert host.logs == [([(1).to_bytes(32, "big"), (2).to_bytes(32, "big")], b"\xab\xcd")]


def test_selfdestruct_ends_the_frame() -> None:
    host = FakeHost()
    assert run(assemble("9 SELFDESTRUCT INVALID"), host) == FrameOutcome(Status.SUCCESS)
    assert host.beneficiary == bytes(19) + b"\x09"


# --- calls and creations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "kind", "value"),
    [
        ("64 32 3 29 5 9 77 CALL", CallKind.CALL, 5),
        ("64 32 3 29 9 77 STATICCALL", CallKind.STATICCALL, 0),
        ("64 32 3 29 9 77 DELEGATECALL", CallKind.DELEGATECALL, 0),
    ],
)
def test_a_call_passes_address_value_and_input(program: str, kind: CallKind, value: int) -> None:
    step = run(assemble(f"0xaabbcc 0 MSTORE {program}"))
    assert step == CallInputs(
        kind, 77, step.address if isinstance(step, CallInputs) else CALLER, value, b"\xaa\xbb\xcc"
    )
    assert isinstance(step, CallInputs)
    assert step.address == bytes(19) + b"\x09"


def _resumed(answer: SubcallOutcome, program: str) -> FrameOutcome:
    engine = PyEvmEngine(TABLE)
    request = engine.start(frame_of(assemble(program)), FakeHost())
    assert isinstance(request, CallInputs | CreateInputs)
    outcome = engine.resume(answer)
    assert isinstance(outcome, FrameOutcome)
    return outcome


def test_return_data_fills_at_most_the_output_region() -> None:
    dump = "0 MSTORE RETURNDATASIZE 32 MSTORE 96 0 RETURN"
    outcome = _resumed(SubcallOutcome(True, b"\x11" * 40), f"8 64 0 0 0 9 GAS CALL {dump}")
    assert outcome.data == (1).to_bytes(32, "big") + (40).to_bytes(32, "big") + b"\x11" * 8 + bytes(24)
    outcome = _resumed(SubcallOutcome(False, b"\x22"), f"32 64 0 0 0 9 GAS CALL {dump}")
    assert outcome.data == bytes(32) + (1).to_bytes(32, "big") + b"\x22" + bytes(31)


def test_an_invalid_output_region_ends_the_frame_only_after_the_call() -> None:
    outcome = _resumed(SubcallOutcome(True, b"x"), "32 4294967295 0 0 0 9 GAS CALL")
    assert outcome.status is Status.ILLEGAL_MEMORY_ACCESS


def test_a_creation_pushes_the_address_and_leaves_no_return_data() -> None:
    tail = "0 MSTORE RETURNDATASIZE 32 MSTORE 64 0 RETURN"
    outcome = _resumed(SubcallOutcome(True, b"", OTHER), f"0 0 3 CREATE {tail}")
    assert outcome.data == OTHER.rjust(32, b"\0") + bytes(32)
    outcome = _resumed(SubcallOutcome(False, b"why"), f"9 0 0 3 CREATE2 {tail}")
    assert outcome.data == bytes(32) + (3).to_bytes(32, "big")


def test_create_passes_value_init_code_and_salt() -> None:
    assert run(assemble("0xfe 0 MSTORE8 1 0 3 CREATE")) == CreateInputs(3, b"\xfe", None)
    assert run(assemble("0xfe 0 MSTORE8 9 1 0 3 CREATE2")) == CreateInputs(3, b"\xfe", 9)


def test_a_creation_beyond_the_balance_sends_nothing() -> None:
    assert word(returned_word("1 0 0 1001 CREATE 7 ADD")) == 7


def test_reply_without_a_request_is_an_internal_error() -> None:
    with pytest.raises(Fatal, match="without a pending call"):
        PyEvmEngine(TABLE).resume(SubcallOutcome(True))


# --- gas and memory ------------------------------------------------------------------------------------------------


def test_every_opcode_takes_its_price_from_the_shared_budget() -> None:
    host = FakeHost()
    before = host.gas.left
    run(assemble("1 2 ADD POP"), host)
    assert before - host.gas.left == 1 + 1 + 2 + 1


@pytest.mark.parametrize(
    ("program", "gas"),
    [
        # FILECOIN_OPCODES' flat prices; 4 for a bit of an exponent, 5 for one that is set; 1 for 1,024 bytes copied
        ("0 2 EXP", 1 + 1 + 2), ("255 2 EXP", 1 + 1 + 2 + 8 * 9), ("256 2 EXP", 1 + 1 + 2 + 9 * 4 + 5),
        (f"{U256} 2 EXP", 3 + 1 + 2 + 256 * 9), ("1023 0 0 CALLDATACOPY", 1 + 1 + 1 + 5),
        ("1024 0 0 CALLDATACOPY", 1 + 1 + 1 + 5 + 1), ("4096 0 0 CODECOPY", 1 + 1 + 1 + 5 + 4),
        ("4096 0 0 MCOPY", 1 + 1 + 1 + 6 + 4),
    ],
)  # fmt: skip
def test_prices_that_depend_on_sizes(program: str, gas: int) -> None:
    host = FakeHost()
    before = host.gas.left
    run(assemble(program), host)
    assert before - host.gas.left == gas


@given(st.integers(0, U256), st.integers(0, U256))
def test_exp_matches_py_evm(base: int, exponent: int) -> None:
    pushed: list[int] = []
    computation: Any = SimpleNamespace(
        stack_pop_ints=lambda _count: (base, exponent), consume_gas=lambda *_, **__: None, stack_push_int=pushed.append
    )
    exp: Any = CANCUN_OPCODES[OPCODE_NUMBERS["EXP"]]
    exp.logic_fn(computation)
    assert [word(returned_word(f"{exponent} {base} EXP"))] == pushed


@given(st.binary(max_size=100), *[st.integers(0, 120)] * 3)
def test_copied_bytes_have_zeros_behind_the_end_of_their_source(
    data: bytes, start: int, source: int, size: int
) -> None:
    code = assemble(f"{size} {source} {start} CODECOPY 256 0 RETURN")
    for name, origin, first in (
        ("CALLDATACOPY", data, ""),
        ("MCOPY", data, "CALLDATASIZE 0 0 CALLDATACOPY"),
        ("CODECOPY", code, ""),
    ):
        program = code if name == "CODECOPY" else assemble(f"{first} {size} {source} {start} {name} 256 0 RETURN")
        outcome = run(program, calldata=data)
        assert isinstance(outcome, FrameOutcome)
        memory = bytearray(data.ljust(256, b"\0") if first else bytes(256))
        memory[start : start + size] = origin[source : source + size].ljust(size, b"\0")
        assert outcome.data == memory


def test_py_evm_opcodes_charge_no_ethereum_gas() -> None:
    """Every other opcode of the newest rules, on words that make its loops run."""
    for number, opcode in RULES.opcodes.items():
        if opcode.name not in OPCODE_FUNCTIONS and not opcode.name.startswith(("PUSH", "RETURN", "REVERT")):
            run(assemble("64 " * 20) + bytes([number]))


def test_an_endless_loop_runs_out_of_the_machines_gas() -> None:
    host = FakeHost(gas=10**9)
    with pytest.raises(OutOfGas):
        run(assemble("again: @again JUMP"), host)
    assert host.tracker.used == host.tracker.limit


def test_memory_is_granted_by_host_without_quadratic_cost() -> None:
    host = FakeHost()
    before = host.gas.left
    run(assemble("1 524256 MSTORE"), host)
    assert host.granted == [524288]
    assert before - host.gas.left == 1 + 1 + 4


def test_memory_that_the_host_refuses_ends_the_invocation() -> None:
    with pytest.raises(ActorExit, match="no more memory"):
        run(assemble("1 2097152 MSTORE"))


@pytest.mark.parametrize(
    "program", [f"0 {U256} MCOPY", f"0 0 {U256} CALLDATACOPY", f"0 {U256} RETURN", "0 5 KECCAK256"]
)
def test_empty_memory_region_accepts_any_offset(program: str) -> None:
    host = FakeHost()
    outcome = run(assemble("0 " + program), host)
    assert isinstance(outcome, FrameOutcome)
    assert outcome.status is Status.SUCCESS
    assert host.granted == []


# --- isolation -----------------------------------------------------------------------------------------------------


def test_py_evm_class_attributes_stay_unchanged() -> None:
    before = {name: repr(value) for name, value in vars(CancunComputation).items()}
    for program in ("0 0 0 CREATE", "1 1 SSTORE", "9 SELFDESTRUCT", "0 0 LOG0"):
        run(assemble(program))
    assert {name: repr(value) for name, value in vars(CancunComputation).items()} == before
    assert not getattr(CancunComputation, "contracts_created", [])


def test_an_older_network_version_lacks_the_newer_opcodes() -> None:
    for number, name in ((23, "MCOPY"), (24, "TLOAD"), (27, "CLZ")):
        program = assemble(f"0 0 0 {name}")
        old, new = rules_of(number), rules_of(number + 1)
        before = PyEvmEngine(PyEvmTable(old)).start(frame_of(program, rules=old), FakeHost())
        after = PyEvmEngine(PyEvmTable(new)).start(frame_of(program, rules=new), FakeHost())
        assert before == FrameOutcome(Status.UNDEFINED_INSTRUCTION)
        assert after == FrameOutcome(Status.SUCCESS)


@pytest.mark.slow
@pytest.mark.parametrize(("evm", "imported"), [("py-evm", True), ("fast", False)])
def test_py_evm_is_imported_only_when_first_contract_runs_on_it(evm: str, imported: bool) -> None:
    program = f"""
import sys
from tests.runtimes.evm.chain import Chain, open_machine
chain = Chain(open_machine(evm="{evm}"))
assert "eth" not in sys.modules and "py_ecc" not in sys.modules
limit = sys.getrecursionlimit()
chain.deploy(b"")
assert ("eth" in sys.modules) is {imported} and sys.getrecursionlimit() == limit
"""
    subprocess.run([sys.executable, "-c", program], check=True)


MAX_GAS = (1 << 63) - 1
FOREVER = assemble(f"loop: {ENDLESS_WORDS} @loop JUMP")
LEFT_AND_FOREVER = assemble(f"0x{masked_id(INIT_ACTOR).hex()} BALANCE loop: {ENDLESS_WORDS} @loop JUMP")
"""The same after an operation that the fast engine's guest cannot run within a call tree."""


class Rung(BaseException):
    """Raised by the alarm at any instruction of the main thread, like KeyboardInterrupt."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Rung

    with alarm_clock(ring):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize(("rules", "little"), [("filecoin", 10**8), ("ethereum", 10**6)])
def test_endless_loop_with_max_gas_is_interrupted_at_once(evm: str, rules: str, little: int) -> None:
    block = EthereumBlock("Cancun", gas_limit=MAX_GAS)
    with open_machine(evm=evm, rules=rules, context=MachineContext(base_fee=TokenAmount(0), block=block)) as machine:
        chain = Chain(machine)

        def loop(gas: int) -> ApplyResult:
            return chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(FOREVER), gas_limit=Gas(gas))

        assert loop(little).exit_code == ExitCode.SYS_OUT_OF_GAS  # what must be compiled is compiled now
        before = machine.root
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started = time.process_time()  # this process's own seconds, however busy the machine is
        with pytest.raises(Rung):
            loop(MAX_GAS)
        assert time.process_time() - started < 0.5 * slowness()
        assert machine.root == before
        chain.nonce -= 1
        assert loop(little).exit_code == ExitCode.SYS_OUT_OF_GAS


@pytest.mark.slow
@pytest.mark.usefixtures("alarm")
def test_frame_that_left_its_tree_can_be_interrupted() -> None:
    block = EthereumBlock("Cancun", gas_limit=MAX_GAS)
    context = MachineContext(base_fee=TokenAmount(0), block=block)
    with open_machine(evm="fast", rules="ethereum", context=context) as machine:
        chain = Chain(machine)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        started = time.process_time()
        with pytest.raises(Rung):  # far from all the gas that there may be: a defect shall end as well
            chain.send(
                Address.id(EAM_ACTOR),
                CREATE_EXTERNAL_METHOD,
                byte_string(LEFT_AND_FOREVER),
                gas_limit=Gas(5_000_000_000),
            )
        assert time.process_time() - started < 1 * slowness()


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_other_threads_run_while_the_fast_engine_does(rules: str) -> None:
    turns = 0

    def count() -> None:
        nonlocal turns
        while running:
            turns += 1
            if turns == 11:
                os.kill(os.getpid(), signal.SIGALRM)
            time.sleep(0.001)

    block = EthereumBlock("Cancun", gas_limit=MAX_GAS)
    with open_machine(evm="fast", rules=rules, context=MachineContext(base_fee=TokenAmount(0), block=block)) as machine:
        chain, running = Chain(machine), True
        thread = threading.Thread(target=count)
        thread.start()
        signal.setitimer(signal.ITIMER_REAL, 60)  # where the engine lets nobody else run
        try:
            with pytest.raises(Rung):
                chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(FOREVER), gas_limit=Gas(MAX_GAS))
        finally:
            running = False
            thread.join()
    assert turns > 10
