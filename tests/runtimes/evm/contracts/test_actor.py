"""The EVM actor on the machine.

- The EVM actor on the machine: methods, limits, hostile contracts. (The golden cases cover the rest.)
- Inspection of a contract that does not respond correctly.
- Contracts with invalid state: each method ends with the official actor's exit code.

No actor can write such a state, but an imported file could contain one. Every row applies to this project's runtime
and, if the test data are available, to the official EVM actor.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.call import encode_method_calldata
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, invoke_return
from bridge.filecoin.receipts import Log, entries_to_log
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import RuntimeUnavailable, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.registry import RuntimeServices
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message
from hypervisor.tracing import GasCharged, Recorder
from hypervisor.types import EAM_ACTOR, SYSTEM_ACTOR, Gas, MethodNumber
from runtimes.evm import EvmRuntime
from runtimes.evm.contracts.code import EMPTY_CODE_HASH
from runtimes.evm.contracts.engine import Status
from runtimes.evm.contracts.host import GET_BYTECODE
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of
from store.codec import decode, encode, link
from store.trees.kamt import EMPTY_KAMT
from tests.conftest import data_file, evms
from tests.runtimes.evm.assembler import assemble, deployer, returned_word
from tests.runtimes.evm.chain import SENDER, Chain, open_machine

COUNTER = returned_word("1 0 SLOAD ADD DUP1 0 SSTORE")
RECURSION = assemble("""
    32 0 0 0 0 ADDRESS GAS CALL @went_deeper JUMPI  1 0 MSTORE 32 0 RETURN
    went_deeper: 1 0 MLOAD ADD 0 MSTORE 32 0 RETURN
""")
DELEGATED_RECURSION = assemble("""
    32 0 0 0 ADDRESS GAS DELEGATECALL @went_deeper JUMPI  1 0 MSTORE 32 0 RETURN
    went_deeper: 1 0 MLOAD ADD 0 MSTORE 32 0 RETURN
""")


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_a_contract_is_deployed_called_and_keeps_its_state(chain: Chain) -> None:
    counter = chain.deploy(COUNTER)
    assert [int.from_bytes(chain.call(counter), "big") for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("method", [7, 100, 1023])
def test_a_private_method_that_does_not_exist_is_unhandled(chain: Chain, method: int) -> None:
    counter = chain.deploy(COUNTER)
    assert chain.send(to_filecoin(counter), method).exit_code == ExitCode.USR_UNHANDLED_MESSAGE


@pytest.mark.parametrize("method", [1, 2])
def test_only_system_can_construct_contract(chain: Chain, method: int) -> None:
    counter = chain.deploy(COUNTER)
    params = b"\x82" + byte_string(bytes(20)) + byte_string(b"")
    assert chain.send(to_filecoin(counter), method, params).exit_code == ExitCode.USR_FORBIDDEN


@pytest.mark.parametrize(("params", "exit_code"), [("6161", 21), ("820102", 21), ("4161ff", 21), ("43616263", 0)])
def test_calldata_comes_as_one_byte_string(chain: Chain, params: str, exit_code: int) -> None:
    counter = chain.deploy(COUNTER)
    assert chain.send(to_filecoin(counter), INVOKE_EVM, bytes.fromhex(params)).exit_code == exit_code


def test_any_exported_method_reaches_handle_filecoin_method(chain: Chain) -> None:
    echo = chain.deploy(
        assemble("""
        96 0 MSTORE  0 32 MSTORE
        0 0 MSTORE  0x51 32 MSTORE  96 64 MSTORE  CALLDATASIZE 96 MSTORE
        CALLDATASIZE 0 128 CALLDATACOPY  CALLDATASIZE 128 ADD 0 RETURN
    """)
    )
    method, params = method_number("Receive"), b"\x82\x01\x02"
    result = chain.send(to_filecoin(echo), method, params)
    assert result.exit_code == ExitCode.OK
    assert result.return_data == encode_method_calldata(method, CBOR, params)


def test_a_log_becomes_an_event_of_the_contract(chain: Chain) -> None:
    contract = chain.deploy(assemble("0xab 0 MSTORE8 7 1 0 LOG1"))
    result = chain.invoke(contract)
    assert [entries_to_log(event.entries) for event in result.events] == [Log((bytes(31) + b"\x07",), b"\xab")]


def test_reverted_contract_emits_no_event_and_returns_reason(chain: Chain) -> None:
    contract = chain.deploy(assemble("0 0 LOG0 0xab 0 MSTORE8 1 0 REVERT"))
    result = chain.invoke(contract)
    assert (result.exit_code, result.events) == (Status.REVERT, ())
    assert invoke_return(result.return_data) == b"\xab"


# --- limits --------------------------------------------------------------------------------------------------------


def test_endless_loop_uses_all_gas_and_changes_nothing(chain: Chain) -> None:
    contract = chain.deploy(assemble("7 1 SSTORE again: @again JUMP"))
    before = chain.state(contract)
    result = chain.invoke(contract, gas_limit=Gas(20_000_000))
    assert (result.exit_code, result.gas_used) == (ExitCode.SYS_OUT_OF_GAS, 20_000_000)
    assert chain.state(contract) == before


def test_a_callee_out_of_gas_leaves_its_caller_a_64th(chain: Chain) -> None:
    hog = chain.deploy(assemble("again: @again JUMP"))
    caller = chain.deploy(returned_word(f"0 0 0 0 0 {int.from_bytes(hog, 'big')} GAS CALL"))
    result = chain.invoke(caller, gas_limit=Gas(500_000_000))
    assert result.exit_code == ExitCode.OK
    assert int.from_bytes(invoke_return(result.return_data), "big") == 0
    assert 480_000_000 < result.gas_used < 500_000_000


def test_the_gas_opcode_reads_the_machines_gas(chain: Chain) -> None:
    contract = chain.deploy(returned_word("GAS"))
    result = chain.invoke(contract)
    left = int.from_bytes(invoke_return(result.return_data), "big")
    assert 0 < 10_000_000_000 - left < result.gas_used


@pytest.mark.parametrize(
    ("offset", "exit_code"),
    [
        ((512 << 20) - 1183776, 0),
        ((512 << 20) - 1183775, 4),
        (600 << 20, 4),
        (1 << 30, 4),
        ((2 << 30) - 4128, 4),
        ((2 << 30) - 4127, 24),
        (2 << 30, 24),
        (3 << 30, 24),
        ((1 << 32) - 33, 24),
        ((1 << 32) - 32, 38),
        (1 << 32, 38),
    ],
)
def test_memory_ends_where_the_official_actors_does(chain: Chain, offset: int, exit_code: int) -> None:
    contract = chain.deploy(assemble(f"1 {offset} MSTORE"))
    assert chain.invoke(contract).exit_code == exit_code


def test_returndatacopy_expands_memory_before_bounds_check(chain: Chain) -> None:
    """Found by random contracts on both actors: exit 4 and not 38."""
    contract = chain.deploy(assemble("100 0 1073741824 RETURNDATACOPY"))
    assert chain.invoke(contract).exit_code == ExitCode.SYS_ILLEGAL_INSTRUCTION


def test_funded_empty_precompile_slot_shows_its_account(chain: Chain) -> None:
    """Found by random contracts on both actors."""
    slot = EthAddress(bytes(19) + b"\x12")
    contract = chain.deploy(returned_word(f"{int.from_bytes(slot, 'big')} EXTCODEHASH"))
    assert chain.call(contract) == bytes(32)
    chain.send(to_filecoin(slot), 0, value=1)
    assert chain.call(contract) == EMPTY_CODE_HASH


def test_memory_is_paid_for_by_the_byte(chain: Chain) -> None:
    small, large = (chain.deploy(assemble(f"1 {size - 32} MSTORE")) for size in (1 << 17, 1 << 22))
    difference = chain.invoke(large).gas_used - chain.invoke(small).gas_used
    assert abs(difference - (5_478_019 - 2_227_242)) < 150_000  # what the official actor pays


def test_a_return_over_a_mebibyte_is_an_assertion(chain: Chain) -> None:
    fits, too_long = (chain.deploy(assemble(f"{size} 0 RETURN")) for size in ((1 << 20) - 5, (1 << 20) - 4))
    assert chain.invoke(fits).exit_code == ExitCode.OK
    assert chain.invoke(too_long).exit_code == ExitCode.USR_ASSERTION_FAILED


def test_oversized_length_claim_allocates_nothing(chain: Chain) -> None:
    call_actor_id = int.from_bytes(b"\xfe" + bytes(18) + b"\x05", "big")
    contract = chain.deploy(
        assemble(f"""
        CALLDATASIZE 0 0 CALLDATACOPY
        0 0 CALLDATASIZE 0 {call_actor_id} GAS DELEGATECALL POP
        RETURNDATASIZE 0 0 RETURNDATACOPY RETURNDATASIZE 0 RETURN
    """)
    )
    head = abi_encode(["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], [0, 0, 0, CBOR, b"", 100])[:-32]
    for length, exit_code in ((1 << 30, 4), (1 << 31, 24)):
        assert chain.invoke(contract, head + length.to_bytes(32, "big")).exit_code == exit_code
    result = chain.call(contract, head + (1 << 22).to_bytes(32, "big"))
    assert abi_decode(["int256", "uint64", "bytes"], result) == (-3, 0, b"")


DEPTHS = [
    pytest.param(RECURSION, 1024, 299, id="CALL"),
    pytest.param(DELEGATED_RECURSION, 1023, 264, id="DELEGATECALL"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("program", "unlimited", "with_a_blocks_gas"), DEPTHS)
def test_recursion_ends_where_the_official_actors_does(
    chain: Chain, program: bytes, unlimited: int, with_a_blocks_gas: int
) -> None:
    """The innermost delegate call requests the code first, which exceeds the depth and fails its frame.

    With a block's gas, the 63/64 rule ends it at every level, so the depth measures the cost of a frame.
    """
    contract = chain.deploy(program)
    assert abs(int.from_bytes(chain.call(contract), "big") - with_a_blocks_gas) <= 5
    limit = Gas(2**63 - 1)
    message = Message(to=to_filecoin(contract), from_=SENDER, method=MethodNumber(INVOKE_EVM), gas_limit=limit)
    result = chain.machine.apply_implicit(message)
    assert result.exit_code == ExitCode.OK, result.message
    assert int.from_bytes(invoke_return(result.return_data), "big") == unlimited


def test_reentrant_init_code_bypasses_no_check(chain: Chain) -> None:
    reentrant = assemble("0 0 0 0 0 ADDRESS GAS CALL POP 0 0 RETURN")
    assert chain.state(chain.deploy_init(reentrant)).nonce == 1


@pytest.mark.parametrize(("code", "exit_code"), [(b"\xef", 16), (b"\x00" * 24577, 16), (b"\x00" * 24576, 0)])
def test_runtime_code_is_limited(chain: Chain, code: bytes, exit_code: int) -> None:
    result = chain.send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, byte_string(deployer(code)))
    assert result.exit_code == exit_code


# --- the machine around it -----------------------------------------------------------------------------------------


def test_previous_runs_do_not_affect_gas(chain: Chain) -> None:
    first, second = chain.deploy(COUNTER), chain.deploy(COUNTER)
    chain.call(first)
    gas_of_first_call = chain.invoke(second).gas_used
    third = chain.deploy(COUNTER)
    assert chain.invoke(third).gas_used == gas_of_first_call


def test_forks_share_the_runtime_and_not_the_state(chain: Chain) -> None:
    counter = chain.deploy(COUNTER)
    fork = Chain(chain.machine.fork(), chain.nonce)
    assert int.from_bytes(fork.call(counter), "big") == 1
    assert int.from_bytes(chain.call(counter), "big") == 1


def test_everything_charged_has_a_name(chain: Chain) -> None:
    counter = chain.deploy(COUNTER)
    recorder = Recorder()
    chain.machine.tracer = recorder
    chain.call(counter)
    names = {event.name for event in recorder.events if isinstance(event, GasCharged)}
    assert {"OnEvmFrame", "OnEvmGas", "OnSyscall", "OnBlockOpenBase", "OnBlockLink", "OnMethodInvocation"} <= names


def test_an_engine_that_is_not_there_is_named() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"'turbo'.*py-evm"):
        EvmRuntime(RuntimeServices({"evm": "turbo"}))


@pytest.mark.parametrize("network", [21, 24, 25])  # our own guests speak the syscalls of version 21 on
def test_contracts_run_under_older_network_versions(network: int) -> None:
    chain = Chain(open_machine(network=network))
    counter = chain.deploy(COUNTER)
    assert [int.from_bytes(chain.call(counter), "big") for _ in range(2)] == [1, 2]
    logger = chain.deploy(assemble("7 0 0 LOG1 PREVRANDAO POP 0 BLOCKHASH POP"))
    result = chain.invoke(logger)
    assert (result.exit_code, len(result.events)) == (ExitCode.OK, 1)


@dataclass
class ErrorReportingGroup:
    """An interceptor that handles GetBytecode for any contract."""

    end: int | SyscallError
    is_armed: bool = True
    watched: frozenset[bytes] = frozenset()
    asked: int = 0

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        if call.method != GET_BYTECODE:
            return proceed(call)
        self.asked += 1
        if isinstance(self.end, SyscallError):
            raise self.end
        return CallResult(ExitCode(self.end))

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Ignore events; no contract here emits one."""


@pytest.fixture(scope="module")
def inspection_chain() -> Iterator[Chain]:
    with open_machine() as machine:
        yield Chain(machine)


def exit_of(chain: Chain, end: int | SyscallError) -> int:
    """Return the exit code of a frame that requests a contract's code and gets this."""
    other = chain.deploy(assemble("STOP"))
    asking = chain.deploy(assemble(f"0x{other.hex()} EXTCODESIZE"))
    assert chain.invoke(asking).exit_code == 0
    chain.machine.interceptor = refusing = ErrorReportingGroup(end)
    try:
        return chain.invoke(asking).exit_code
    finally:
        chain.machine.interceptor = None
        assert refusing.asked == 1


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    # builtin-actors runtime/src/actor_error.rs, `ActorError::checked`
    [(1, 24), (2, 24), (4, 23), (5, 24), (6, 24), (7, 24), (9, 23), (10, 24), (11, 23), (16, 16), (21, 21), (33, 33)],
)
def test_an_exit_code_of_the_system_is_not_passed_on(inspection_chain: Chain, exit_code: int, expected: int) -> None:
    assert exit_of(inspection_chain, exit_code) == expected


def test_inspection_beyond_call_limit_exits_as_unspecified(inspection_chain: Chain) -> None:
    # builtin-actors actors/evm interpreter/system.rs, `System::send`
    assert exit_of(inspection_chain, SyscallError(ErrorNumber.LIMIT_EXCEEDED, "calls nest deeper than 1024")) == 23


CODE = assemble("CALLDATASIZE @load JUMPI 7 1 SSTORE STOP load: 1 SLOAD 0 MSTORE 32 0 RETURN")
BYTECODE, HASH, STORAGE, TRANSIENT, NONCE, TOMBSTONE = range(6)
INVOKE, HANDLE, BYTECODE_METHOD, GET_BYTECODE_HASH, GET_STORAGE_AT = int(INVOKE_EVM), 5000, 3, 4, 5

Put = Callable[[object], Any]
"""Stores an object as a block and returns its link."""


class World:
    """A contract whose state can be replaced."""

    def __init__(self, machine: Hypervisor) -> None:
        self.chain = Chain(machine)
        self.contract: EthAddress = self.chain.deploy(CODE)

    def put(self, data: bytes, codec: int = DAG_CBOR) -> Cid:
        cid = cid_of(data, codec)
        self.chain.machine.store.put(cid, data)
        return cid

    def exit_code(self, change: Callable[[list[Any], Put], object], method: int, params: bytes) -> int:
        """Return the exit code of a contract's method with a changed state; everything is rolled back."""
        machine = self.chain.machine
        with machine.trial():
            address = to_filecoin(self.contract)
            actor, number = machine.actor(address), machine.state_tree.lookup_id(address)
            assert actor is not None
            assert number is not None
            state = decode(machine.store.get(actor.head))
            changed = change(state, lambda value: link(self.put(encode(value))))
            head = changed if isinstance(changed, bytes) else encode(changed)
            codec = RAW if change is state_of_another_codec else DAG_CBOR
            machine.state_tree.set_actor(number, replace(actor, head=self.put(head, codec)))
            system = Address.id(SYSTEM_ACTOR)
            message = Message(address, system, method=MethodNumber(method), params=params)
            result = machine.apply_implicit(message)
        assert result.fatal is None
        return result.exit_code


def _with(field: int, value: object) -> Callable[[list[Any], Put], object]:
    return lambda state, _put: [*state[:field], value, *state[field + 1 :]]


def _with_block(field: int, block: object) -> Callable[[list[Any], Put], object]:
    return lambda state, put: [*state[:field], put(block), *state[field + 1 :]]


def _with_child(state: list[Any], put: Put) -> object:
    root = put([b"\x01", [{"l": [put("no node"), 245, bytes(31)]}]])
    return [*state[:STORAGE], root, *state[STORAGE + 1 :]]


def state_of_another_codec(state: list[Any], _put: Put) -> object:
    """Return a state with the right bytes in a block of codec raw."""
    return state


UNREADABLE: dict[str, Callable[[list[Any], Put], object]] = {
    "no tuple": lambda _state, _put: "state",
    "a tuple of five, as before transient storage": lambda state, _put: [*state[:TRANSIENT], *state[NONCE:]],
    "a tuple of seven": lambda state, _put: [*state, None],
    "no code": _with(BYTECODE, b"code"),
    "a short hash": _with(HASH, bytes(31)),
    "a boolean as nonce": _with(NONCE, True),
    "a negative nonce": _with(NONCE, -1),
    "a text as nonce": _with(NONCE, "1"),
    "a boolean in a lifespan": _with(TRANSIENT, [link(EMPTY_KAMT), [True, 0]]),
    "a negative number in a tombstone": _with(TOMBSTONE, [1, -1]),
    "a boolean as tombstone": _with(TOMBSTONE, False),
    "another codec": state_of_another_codec,
}
NO_TREE: dict[str, Callable[[list[Any], Put], object]] = {
    "slots that are no tree": _with_block(STORAGE, "slots"),
    "slots that contradict their bitfield": _with_block(STORAGE, [b"\x01", []]),
    "a key of 33 bytes": _with_block(STORAGE, [b"\x01", [{"v": [[b"\x01" * 33, b"\x01"]]}]]),
    "raw bytes as slots": _with(STORAGE, link(cid_of(b"\x82\x40\x80", RAW))),
}
READABLE: dict[str, Callable[[list[Any], Put], object]] = {
    "nothing changed": lambda state, _put: state,
    "the highest nonce": _with(NONCE, (1 << 64) - 1),
    "code in a block of CBOR": _with_block(BYTECODE, b"\x00"),
    "transient slots of an older message that are no tree": lambda state, put: [
        *state[:TRANSIENT], [put("slots"), [100, 0]], *state[TRANSIENT + 1 :]
    ],
}  # fmt: skip
NO_CODE: dict[str, Callable[[list[Any], Put], object]] = {
    "code in a block that cannot be opened": _with(BYTECODE, link(cid_of(CODE, DAG_CBOR))),
}

ROWS: list[tuple[str, Callable[[list[Any], Put], object], int, bytes, int]] = [
    *((name, change, INVOKE, b"", 23) for name, change in (UNREADABLE | NO_TREE).items()),
    *((name, change, HANDLE, b"", 23) for name, change in (UNREADABLE | NO_TREE).items()),
    *((name, change, BYTECODE_METHOD, b"", 16) for name, change in UNREADABLE.items()),
    *((name, change, GET_BYTECODE_HASH, b"", 16) for name, change in UNREADABLE.items()),
    *((name, change, BYTECODE_METHOD, b"", 0) for name, change in (NO_TREE | READABLE).items()),
    *((name, change, GET_STORAGE_AT, b"\x81\x41\x01", 21) for name, change in UNREADABLE.items()),
    *((name, change, GET_STORAGE_AT, b"\x81\x41\x01", 20) for name, change in NO_TREE.items()),
    *((name, change, INVOKE, b"", 0) for name, change in READABLE.items()),
    *((name, change, INVOKE, b"", 17) for name, change in NO_CODE.items()),
    ("a broken node below the root", _with_child, INVOKE, b"", 20),
    ("a broken node below the root", _with_child, INVOKE, b"\x41\x01", 20),
    ("a broken node below the root", _with_child, GET_STORAGE_AT, b"\x81\x41\x01", 24),
    ("a broken node below the root", _with_child, BYTECODE_METHOD, b"", 0),
]


@pytest.fixture(scope="module", params=evms())
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    bundle = Bundle.open(data_file("bundles/v18-devnet.car")) if request.param == "official" else None
    with open_machine(bundle=bundle, evm=request.param) as machine:
        yield World(machine)


@pytest.mark.parametrize(
    ("change", "method", "params", "expected"),
    [
        pytest.param(change, method, params, expected, id=f"{name}-{method}-{params.hex()}")
        for name, change, method, params, expected in ROWS
    ],
)
def test_a_broken_state_ends_with_the_official_actors_exit_code(
    world: World, change: Callable[[list[Any], Put], object], method: int, params: bytes, expected: int
) -> None:
    world.put(CODE, DAG_CBOR)
    world.put(b"\x82\x40\x80", RAW)
    assert world.exit_code(change, method, params) == expected
