"""Calls, hashes and precompiles of a session.

Expected: the plain engine's results, and hashlib's and eth_hash's hashes.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.message import Message
from hypervisor.types import INIT_ACTOR, Gas
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, read_alloc
from runtimes.evm.contracts.precompiles.ethereum import blake2f, ripemd160
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


def test_calls_and_creations_have_the_plain_engines_results() -> None:
    plain, fast = both(f"{CALL_CALLEE} 1 SSTORE 3 0 0 CREATE 2 SSTORE 7 0 0 LOG1", "CALLER 0 MSTORE 32 0 RETURN")
    assert fast.receipt == plain.receipt
    assert fast.events == plain.events


@pytest.mark.parametrize(
    ("meets", "why"),
    [
        (f"0x{masked_id(INIT_ACTOR).hex()} BALANCE", "a masked ID"),
        (f"0 0 0 0 0 0x{'fe' + '00' * 18 + '01'} GAS CALL", "a precompile of Filecoin's"),
        (f"0x{'fe' + '00' * 18 + '05'} EXTCODEHASH", "its code"),
    ],
)
def test_filecoin_addresses_are_read_as_on_the_plain_engine(meets: str, why: str) -> None:
    plain, fast = both(f"9 9 SSTORE {CALL_CALLEE} {meets} 1 SSTORE", f"4 4 SSTORE 1 4 TSTORE {meets} 5 SSTORE")
    assert fast.receipt == plain.receipt, why


def test_failed_creation_writes_are_discarded() -> None:
    init = assemble("1 1 SSTORE 1 1 TSTORE 0 0 LOG0 INVALID")
    plain, fast = both(f"0x{init.hex()} 0 MSTORE {len(init)} {32 - len(init)} 0 CREATE 1 SSTORE")
    assert fast.receipt == plain.receipt


def test_later_frames_see_effects_of_earlier_calls() -> None:
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
def test_nested_call_sees_context_of_outer_frame(does: str, callee: str) -> None:
    plain, fast = both(f"0x{masked_id(INIT_ACTOR).hex()} BALANCE POP {does}", callee)
    assert fast.receipt == plain.receipt


# --- hashes and precompiles ------------------------------------------------------------------------------


inputs = st.binary(max_size=600) | st.integers(0, 2500).map(bytes)


@settings(max_examples=samples(60))
@given(data=inputs)
def test_hashes_are_the_libraries(asking: Callable[[int, bytes], bytes | None], data: bytes) -> None:
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
def test_blake2f_has_the_rounds_that_it_is_given(
    asking: Callable[[int, bytes], bytes | None], rounds: int, data: bytes, final: int
) -> None:
    data = rounds.to_bytes(4, "big") + data + bytes([final])
    assert asking(9, data) == blake2f(data)


@pytest.mark.parametrize("data", [b"", bytes(212), bytes(214), bytes(212) + b"\x02"])
def test_blake2f_refuses_invalid_input(asking: Callable[[int, bytes], bytes | None], data: bytes) -> None:
    assert asking(9, data) is None


OTHER = EthAddress(bytes([0xDD]) * 20)


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
def test_repeated_messages_have_the_plain_engines_results(meets: str) -> None:
    run_both(meets, "0 SLOAD 1 ADD DUP1 0 SSTORE 0 MSTORE 32 0 RETURN")


@pytest.mark.parametrize("gas", range(21_000, 80_000, 1_103))
def test_gas_is_exact_wherever_it_ends(gas: int) -> None:
    run_both(f"{MEETS['a call']} {MEETS['code']}", "0 SLOAD 1 ADD DUP1 0 SSTORE 0 MSTORE 32 0 REVERT", gas, times=1)


def test_revert_leaves_only_gas_charge() -> None:
    run_both(f"9 9 SSTORE {CALL_CALLEE} POP 32 0 0 LOG1 32 0 REVERT", "1 SLOAD 1 SSTORE 0 0 0 LOG1")
