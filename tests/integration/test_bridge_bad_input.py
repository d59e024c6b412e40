"""Bad input across runtimes: both machines end alike, and failed calls leave no changes.

Inputs of the precompiles are damaged in every field: numbers beyond their width, arbitrary offsets, truncation, random
bytes. So are return values of contracts to native actors, and those of native actors, with codecs of any kind.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

import pytest
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.call import encode_call_return
from bridge.filecoin.parameters import INVOKE_EVM, method_number
from hypervisor import Address
from runtimes.evm.ethereum.alloc import AllocAccount
from store.cid import CBOR, DAG_CBOR, RAW
from tests.crossing.puppet import Script
from tests.crossing.trees import PUPPETS, SENDER
from tests.crossing.twins import Stages
from tests.differential.twins import CallOf, Case
from tests.runtimes.evm.assembler import assemble

KINDS: Final = ("CALL", "STATICCALL", "DELEGATECALL")
FORWARDERS: Final = {kind: EthAddress(bytes([0xC0 + place]) * 20) for place, kind in enumerate(KINDS)}
ANSWERER: Final = EthAddress(b"\xca" * 20)
PRECOMPILES: Final = tuple(EthAddress(b"\xfe" + bytes(18) + bytes([number])) for number in range(1, 8))
EDGES: Final = (
    0, 1, 2, 31, 32, 33, 95, 96, 160, 192, 193, 256, 1023, 1024, (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 32, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 128, 1 << 255, (1 << 256) - 1,
)  # fmt: skip
SELECTED: Final = 132
"""Offset of handle_filecoin_method's parameters, after the selector and four words."""


def forwarder(kind: str) -> bytes:
    """Return code that calls the address in the first word with the rest; it returns success and return data."""
    value = "CALLVALUE " if kind == "CALL" else ""
    return assemble(f"""
        32 CALLDATASIZE SUB 32 0 CALLDATACOPY
        0 0 32 CALLDATASIZE SUB 0 {value}0 CALLDATALOAD GAS {kind} 0 MSTORE
        RETURNDATASIZE 0 32 RETURNDATACOPY 32 RETURNDATASIZE ADD 0 RETURN""")


def accounts() -> dict[EthAddress, AllocAccount]:
    """Return funded forwarders, and a contract that returns its parameters to native callers."""
    result = assemble(f"100 CALLDATALOAD {SELECTED} 0 CALLDATACOPY 100 CALLDATALOAD 0 RETURN")
    return {
        SENDER: AllocAccount(10**24),
        **{address: AllocAccount(1000, 1, forwarder(kind)) for kind, address in FORWARDERS.items()},
        ANSWERER: AllocAccount(0, 1, result),
    }


def compare(both: Stages, calls: Sequence[CallOf]) -> list[int]:
    """Execute all messages on both machines and return their ends."""
    compared = both.compare(Case("bad input", "bad input", accounts(), calls))
    assert not compared.difference
    assert len(compared.official) == len(calls)
    return [outcome.exit_code for outcome in compared.official]


def broken(data: bytes, random: Random) -> bytes:
    """Return input with one to three defects."""
    for _ in range(random.choice((1, 1, 2, 3))):
        match random.randrange(6):
            case 0 | 1 | 2 if len(data) >= 32:
                place = 32 * random.randrange(len(data) // 32)
                data = data[:place] + random.choice(EDGES).to_bytes(32, "big") + data[place + 32 :]
            case 3:
                data = data[: random.randrange(len(data) + 1)]
            case 4:
                data += random.randbytes(random.randrange(1, 70))
            case _:
                data = random.randbytes(random.randrange(1, 32)) + data
    return data


def good_call(random: Random) -> bytes:
    """Return input of call_actor_id or call_actor."""
    script = Script()
    script.store(b"\x80")
    script.emit(b"d", b"\x01")
    value, read_only = random.choice((0, 0, 5, 5000)), random.randrange(2)
    head = (random.choice((1024, INVOKE_EVM, 0)), value, read_only, CBOR, script.wrapped())
    kinds = ["uint64", "uint256", "uint64", "uint64", "bytes"]
    if random.randrange(2):
        return encode_abi([*kinds, "uint64"], [*head, PUPPETS[0]])
    return encode_abi([*kinds, "bytes"], [*head, Address.id(PUPPETS[0]).to_bytes()])


@pytest.mark.parametrize("seed", range(4))
def test_bridge_bad_input_of_precompiles_ends_alike(both: Stages, seed: int) -> None:
    random = Random(seed)
    calls = []
    for _ in range(40):
        kind = random.choice(("DELEGATECALL", "DELEGATECALL", *KINDS))
        to = random.choice((PRECOMPILES[2], PRECOMPILES[4], *PRECOMPILES))
        data = bytes(12) + to + broken(good_call(random), random)
        calls.append(CallOf(SENDER, FORWARDERS[kind], data, random.choice((0, 0, 3))))
    compare(both, calls)


@pytest.mark.parametrize("seed", range(3))
def test_bridge_malformed_contract_returns_match_official(both: Stages, seed: int) -> None:
    """The contract echoes its parameters, so the native actor's script chooses the malformed return data."""
    random = Random(f"answers {seed}")
    calls = []
    for _ in range(30):
        exit_code = random.choice((0, 0, 5, 16, 33, 1 << 31))
        codec = random.choice((0, CBOR, CBOR, RAW, DAG_CBOR, 1 << 40))
        result = encode_abi(
            ["uint32", "uint64", "bytes"], [exit_code, codec, random.choice((b"", b"\x05", b"\x83\x01"))]
        )
        script = Script()
        script.store(b"\x81\x01")
        script.send(to_filecoin(ANSWERER), method_number("Anything"), broken(result, random), RAW)
        calls.append(CallOf(SENDER, masked_id(PUPPETS[1]), script.raw().ljust(256, b"\0")))
    compare(both, calls)


@pytest.mark.slow
def test_bridge_malformed_native_returns_match_official(both: Stages) -> None:
    """Return data that is not a CBOR byte string is passed on unchanged."""
    results = (
        b"", b"\x40", b"\x41a", b"\x58\x20short", b"\x5f\x41a\xff", b"\x61a", b"\x80", b"\xff", b"\x41ab",
        b"\xd8\x2a\x41\0", bytes(60_000),
    )  # fmt: skip
    calls = []
    for result in results:
        for exit_code in (0, 16, 33, 3):
            script = Script()
            script.abort(exit_code, result)
            calls.append(CallOf(SENDER, FORWARDERS["CALL"], bytes(12) + masked_id(PUPPETS[2]) + script.raw()))
            head = (1024, 0, 0, CBOR, script.wrapped(), PUPPETS[2])
            data = encode_abi(["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"], head)
            calls.append(CallOf(SENDER, FORWARDERS["DELEGATECALL"], bytes(12) + PRECOMPILES[4] + data))
    compare(both, calls)


def test_bridge_bad_input_that_looks_like_an_answer_is_none(both: Stages) -> None:
    """A contract cannot imitate the precompile: its own bytes in the precompile's form are a contract's return data."""
    forged = encode_call_return(0, CBOR, b"\x05")
    script = Script()
    script.send(to_filecoin(ANSWERER), method_number("Anything"), forged, RAW)
    assert compare(both, [CallOf(SENDER, masked_id(PUPPETS[1]), script.raw().ljust(256, b"\0"))]) == [0]
