"""Regressions found by generated cases, a short run of generated cases, and detection of planted defects."""

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor.messages.message import Message
from runtimes.evm.ethereum.alloc import AllocAccount
from store.cid import CBOR, DAG_CBOR
from tests.conftest import with_data
from tests.differential.comparison import compare, twins
from tests.differential.generator import SENDER, generate
from tests.differential.plants import NONE, PLANTS
from tests.differential.tally import STAGES
from tests.differential.twins import GAS_LIMIT, CallOf, Case
from tests.runtimes.evm.assembler import assemble

CONTRACT = EthAddress(b"\xaa" * 20)
FORWARD = "CALLDATASIZE 0 0 CALLDATACOPY {out} 0 CALLDATASIZE 0 {address} GAS DELEGATECALL {out} MSTORE {all} 0 RETURN"
ECHO = "CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 RETURN"
CALL_ACTOR, CALL_ACTOR_ID = ((0xFE << 152) + index for index in (3, 5))
TOO_MUCH = (2 << 20, 100 << 20, 0x51000000, 1 << 31, 1 << 32)
"""Lengths above the limits of a block, an instance's memory, and a 32-bit number."""


def difference(address: int, data: bytes) -> str:
    """Return the known difference for a delegate-called precompile."""
    code = assemble(FORWARD.format(address=address, out=96, all=128))
    accounts = {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(5, 1, code)}
    return twins(NONE).compare(Case("one call", "one", accounts, [CallOf(SENDER, CONTRACT, data)])).difference


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


@pytest.mark.parametrize("length", TOO_MUCH, ids=hex)
@pytest.mark.parametrize(
    ("method", "value", "flags", "codec"),
    [(0, 0, 0, CBOR), (0, 0, 2, CBOR), (5, 0, 0, CBOR), (0, 0, 0, DAG_CBOR), (0, 0, 0, 0), (0, 1 << 200, 0, CBOR)],
)
def test_params_of_any_length_are_rejected_in_official_order(
    method: int, value: int, flags: int, codec: int, length: int
) -> None:
    head = (method, value, flags, codec, 192)
    assert not difference(CALL_ACTOR_ID, words(*head, 100, length))
    assert not difference(CALL_ACTOR, words(*head, 224, 0, length))
    assert not difference(CALL_ACTOR, words(*head, 224, length, 2) + b"\x00\x64")


READ = {"00": 0, "0105": 0, "1805" + "07" * 5: 0, "1b00000000000000010a": 0, "5f0105ff": 0, "5f4000ff": 0}
REFUSED = {"2105": 21, "6105": 21, "8105": 21, "c105": 21, "0005": 21}


@pytest.mark.parametrize(("params", "exit_code"), [*READ.items(), *REFUSED.items()])
def test_parameters_are_read_as_the_official_decoder_reads_them(params: str, exit_code: int) -> None:
    accounts = {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(0, 1, assemble(ECHO))}
    outcomes = []
    for twin in (twins(NONE).ours, twins(NONE).official):
        twin.begin(accounts)
        result = twin.machine.apply(
            Message(
                to_filecoin(CONTRACT),
                to_filecoin(SENDER),
                method=INVOKE_EVM,
                params=bytes.fromhex(params),
                gas_limit=GAS_LIMIT,
            )
        )
        outcomes.append((result.exit_code, result.return_data, twin.machine.root))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == exit_code


@pytest.mark.parametrize("nonce", [2**64 - 3, 2**64 - 2, 2**64 - 1])
def test_contract_at_maximum_nonce_cannot_create(nonce: int) -> None:
    code = assemble("0 0 0 CREATE 0 MSTORE 0 0 0 CREATE 32 MSTORE 64 0 RETURN")
    accounts = {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(0, nonce, code)}
    assert not twins(NONE).compare(Case("nonce", "one", accounts, [CallOf(SENDER, CONTRACT)])).difference


def words_of_modexp(base: int, exponent: int, modulus: int) -> bytes:
    """Return lengths, and a tail that is shorter than they declare."""
    return words(base, exponent, modulus) + b"\x03" * 40


@pytest.mark.parametrize("length", [10_000, 1 << 20, 520 << 20, 1 << 31, 1 << 32])
def test_modexp_numbers_are_encoded_like_official_module(length: int) -> None:
    assert not difference(5, words_of_modexp(length, 1, 1))
    assert not difference(5, words_of_modexp(1, length, 1))
    assert not difference(5, words_of_modexp(1, 1, length))


def test_blake2f_with_huge_rounds_and_bad_final_flag_is_free() -> None:
    assert not difference(9, b"\xff" * 213)


def test_cases_are_deterministic_per_seed() -> None:
    assert generate(1, 7) == generate(1, 7)
    assert generate(1, 7) != generate(2, 7) != generate(2, 8)


@pytest.mark.slow
def test_generated_contracts_do_the_same_on_both_machines() -> None:
    tally = compare(seed=7, count=250, workers=1)
    assert not tally.findings
    assert tally.stages[STAGES[-1]] > tally.count / 2
    assert tally.gas_decided < tally.count / 50


def defects() -> list[str]:
    """Return the detectable defects; without an official bundle, both engines share what `no-reload` breaks."""
    shared = "no-reload"
    return [*(name for name in PLANTS if name not in (NONE, shared)), *with_data(shared)]


@pytest.mark.parametrize("defect", defects())
@pytest.mark.oracle
def test_a_planted_defect_is_found(defect: str) -> None:
    assert compare(seed=1, count=250, workers=1, plant=defect).findings
