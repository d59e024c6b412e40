"""Whole call trees in the fast engine: when they are tried or abandoned, and their results.

Expected: the plain engine's results, the host's own hashes, and hashlib's and eth_hash's.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.tracing import Recorder
from hypervisor.types import INIT_ACTOR, Gas
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.precompiles.ethereum import blake2f, ripemd160
from store.keccak import keccak
from tests.conftest import samples
from tests.runtimes.evm.assembler import assemble, deployer

SENDER, CONTRACT, CALLEE = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC))
CALL_CALLEE = f"32 0 0 0 0 0x{CALLEE.hex()} GAS CALL"


def machine(contract: str, callee: str = "", evm: str = "fast") -> Hypervisor:
    made = Hypervisor.open(rules="ethereum", evm=evm)
    made.advance(block=EthereumBlock(gas_limit=1 << 40))
    install_alloc(made, {
        SENDER: AllocAccount(10**20),
        CONTRACT: AllocAccount(5, 1, assemble(contract)),
        CALLEE: AllocAccount(0, 1, assemble(callee)),
    })  # fmt: skip
    return made


def run(made: Hypervisor, calldata: bytes = b"", gas: int = 10_000_000, nonce: int = 0) -> ApplyResult:
    message = Message(
        to_filecoin(CONTRACT),
        to_filecoin(SENDER),
        nonce,
        method=INVOKE_EVM,
        params=invoke_params(calldata),
        gas_limit=Gas(gas),
    )
    return made.apply(message)


def both(contract: str, callee: str = "") -> tuple[ApplyResult, ApplyResult]:
    """Run a message on the plain engine and the fast one, assert equal states, and return both results."""
    results, states = [], []
    for evm in ("py-evm", "fast"):
        with machine(contract, callee, evm) as made:
            results.append(run(made))
            assert results[-1].exit_code == 0
            states.append((dict(read_alloc(made)), made.flush()))
    assert states[0] == states[1]
    return results[0], results[1]


def test_a_tree_ends_in_the_guest(trees: Counter[str]) -> None:
    plain, fast = both(f"{CALL_CALLEE} 1 SSTORE 3 0 0 CREATE 2 SSTORE 7 0 0 LOG1", "CALLER 0 MSTORE 32 0 RETURN")
    assert fast.receipt == plain.receipt
    assert fast.events == plain.events
    assert trees == {"ended": 1}


@pytest.mark.parametrize(
    ("meets", "why"),
    [
        (f"0x{masked_id(INIT_ACTOR).hex()} BALANCE", "a masked ID"),
        (f"0 0 0 0 0 0x{'fe' + '00' * 18 + '01'} GAS CALL", "a precompile of Filecoin's"),
        (f"0x{'fe' + '00' * 18 + '05'} EXTCODEHASH", "its code"),
    ],
)
def test_unsupported_access_leaves_call_tree_without_effects(trees: Counter[str], meets: str, why: str) -> None:
    plain, fast = both(f"9 9 SSTORE {CALL_CALLEE} {meets} 1 SSTORE", f"4 4 SSTORE 1 4 TSTORE {meets} 5 SSTORE")
    assert fast.receipt == plain.receipt, why
    assert trees["left"] >= 1


def test_code_with_abandoned_call_tree_is_not_retried_at_once(trees: Counter[str]) -> None:
    with machine(f"0x{masked_id(INIT_ACTOR).hex()} BALANCE 1 SSTORE") as made:
        for nonce in range(5):
            message = Message(
                to_filecoin(CONTRACT), to_filecoin(SENDER), nonce, method=INVOKE_EVM, gas_limit=Gas(5_000_000)
            )
            assert made.apply(message).exit_code == 0
    assert trees == {"left": 1}


@dataclass
class Watching:
    """Sees every call that the machine makes."""

    is_armed: bool
    watched: frozenset[bytes] = frozenset()
    seen: int = 0

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        self.seen += 1
        return proceed(call)

    def on_event(self, calls: CallManager, event: object) -> None:
        """Ignore the event."""


@pytest.mark.parametrize(
    ("watching", "seen"),
    [(Watching(False), 1), (Watching(True), 2), (Watching(False, frozenset({CALLEE})), 2)],
)
def test_interceptor_sees_watched_calls(trees: Counter[str], watching: Watching, seen: int) -> None:
    with machine(CALL_CALLEE, "STOP") as made:
        made.interceptor = watching
        assert run(made).exit_code == 0
    assert watching.seen == seen
    assert trees["ended"] == (seen == 1) or trees["left"] == 1


def test_a_traced_message_runs_frame_by_frame(trees: Counter[str]) -> None:
    with machine(CALL_CALLEE, "STOP") as made:
        made.tracer = Recorder()
        assert run(made).exit_code == 0
    assert not trees


def test_failed_creation_writes_are_discarded() -> None:
    init = assemble("1 1 SSTORE 1 1 TSTORE 0 0 LOG0 INVALID")
    plain, fast = both(f"0x{init.hex()} 0 MSTORE {len(init)} {32 - len(init)} 0 CREATE 1 SSTORE")
    assert fast.receipt == plain.receipt


def test_later_frames_see_effects_of_earlier_call_tree(trees: Counter[str]) -> None:
    """The first frame's tree is abandoned: its calls are separate trees, each starting after the previous one."""
    other = f"0x{'dd' * 20}"
    init = assemble("5 5 SSTORE 1 0 0 LOG1 ADDRESS SELFDESTRUCT")
    callee = f"""
        {other} BALANCE POP 3 TLOAD 1 ADD 3 TSTORE
        1 SLOAD DUP1 ISZERO 1 SSTORE 2 SSTORE 0 1 SSTORE
        0x{init.hex()} 0 MSTORE {len(init)} {32 - len(init)} 1 CREATE
        DUP1 EXTCODEHASH POP 0 MSTORE 3 TLOAD 32 MSTORE GAS 64 MSTORE 96 0 RETURN"""
    asked = f"96 0 0 0 2 0x{CALLEE.hex()} GAS CALL POP 0 MLOAD BALANCE POP 32 MLOAD"
    left = f"0x{masked_id(INIT_ACTOR).hex()} BALANCE POP"
    contract = f"{left} {asked} 1 SSTORE 64 MLOAD 4 SSTORE {other} BALANCE POP {asked} 2 SSTORE 64 MLOAD 5 SSTORE"
    plain, fast = both(contract, callee)
    assert fast.receipt == plain.receipt
    assert fast.events == plain.events
    assert trees["left"] == 1
    assert trees["ended"] >= 2


_MADE = f"0x{deployer(assemble('CALLER SELFDESTRUCT')).hex()} 0 MSTORE"
_SIZE = len(deployer(assemble("CALLER SELFDESTRUCT")))


@pytest.mark.parametrize(
    ("does", "callee"),
    [
        (f"{_MADE} 0 0 0 0 0 {_SIZE} {32 - _SIZE} 1 CREATE GAS CALL 1 SSTORE", "STOP"),
        (f"0 0 0 0 0x{CALLEE.hex()} 100000 STATICCALL 1 SSTORE", "7 7 SSTORE"),
        (f"0 0 0 0 0x{CALLEE.hex()} 100000 STATICCALL 1 SSTORE", "7 7 TSTORE"),
    ],
    ids=["a contract of this message is destroyed", "no slot is written", "no transient slot is written"],
)
def test_nested_call_tree_sees_context_of_outer_frame(trees: Counter[str], does: str, callee: str) -> None:
    plain, fast = both(f"0x{masked_id(INIT_ACTOR).hex()} BALANCE POP {does}", callee)
    assert fast.receipt == plain.receipt
    assert trees["left"] == 1
    assert trees["ended"] >= 1


# --- hashes and precompiles of the guest ------------------------------------------------------------------------------


inputs = st.binary(max_size=600) | st.integers(0, 2500).map(bytes)


@settings(max_examples=samples(60))
@given(data=inputs)
def test_hashes_of_the_guest_are_the_libraries(asking: Callable[[int, bytes], bytes | None], data: bytes) -> None:
    assert asking(0, data) == keccak(data)
    assert asking(2, data) == hashlib.sha256(data).digest()
    assert asking(3, data) == ripemd160(data)
    assert asking(4, data) == data


@pytest.mark.slow
def test_two_word_hash_cache_returns_exact_hashes(
    asking: Callable[[int, bytes], bytes | None],
) -> None:
    """There are more pairs than cache entries, some of them differing in one byte; all are hashed twice."""
    pairs = [bytes(31) + bytes([key]) + bytes(31) + bytes([slot]) for key in range(20) for slot in range(20)]
    pairs += [bytes(place) + b"\x01" + bytes(63 - place) for place in range(64)]
    for data in (*pairs, *pairs, *(pair for pair in pairs[:40] for _ in range(2))):
        assert asking(0, data) == keccak(data)


@settings(max_examples=samples(30))
@given(rounds=st.integers(0, 300), data=st.binary(min_size=208, max_size=208), final=st.integers(0, 1))
def test_blake2f_of_the_guest_is_the_hosts(
    asking: Callable[[int, bytes], bytes | None], rounds: int, data: bytes, final: int
) -> None:
    data = rounds.to_bytes(4, "big") + data + bytes([final])
    assert asking(9, data) == blake2f(data)


@pytest.mark.parametrize("data", [b"", bytes(212), bytes(214), bytes(212) + b"\x02"])
def test_blake2f_refuses_invalid_input(asking: Callable[[int, bytes], bytes | None], data: bytes) -> None:
    assert asking(9, data) is None
