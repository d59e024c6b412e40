"""Short comparisons with the official EVM actor.

- Regressions found by generated cases, a short run of generated cases.
- Every scenario of the Solidity corpus on both machines, and a part of the state tests' contracts.
- Derived gas of the EVM runtime is within a tenth of the official actor's, for transactions and opcode classes.
- EVM actors of network versions 18 to 21: our engines compared with each version's official module and bundle.

The test data has no bundle of v11: nv19 and nv20 are compared if its release is installed (`hypervisor bundle fetch`).
"""

import subprocess
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress, create_address, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import downloaded_releases
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version
from hypervisor_tools.cli.demo.scenario import contract
from runtimes.evm.blocks.alloc import AllocAccount
from store.cid import CBOR, DAG_CBOR
from store.keccak import keccak
from tests.conftest import data_file, with_data
from tests.differential.comparison import BUNDLE, STAGES, CaseTally, compare, twins
from tests.differential.corpus import read_file, run_fillers, run_scenario
from tests.differential.grammar import SENDER, THEMES, generate
from tests.differential.older import older_case
from tests.differential.operands import OPERANDS, PRECOMPILES, Meter, search, words
from tests.differential.scenarios import SCENARIOS, WORKLOADS, Artifacts, cost
from tests.differential.twins import GAS_LIMIT, LOOKED, CallOf, Case, Twin, Twins
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
    return twins().compare(Case("one call", "one", accounts, [CallOf(SENDER, CONTRACT, data)])).difference


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
    for twin in (twins().ours, twins().official):
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
    assert not twins().compare(Case("nonce", "one", accounts, [CallOf(SENDER, CONTRACT)])).difference


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


SCRIPT = Path(__file__).parents[2] / "scripts" / "corpus"
EXAMPLES = "vectors/GeneralStateTests/stExample"
LOOKS_AT_GAS = "vectors/GeneralStateTests/stTransactionTest/StoreGasOnCreate.json"


@cache
def artifacts() -> Path:
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_does_the_same_on_both_machines(name: str) -> None:
    tally, unexpected = run_scenario(artifacts(), name)
    assert not tally.findings
    assert not tally.gas_decided
    assert not unexpected


def test_contracts_of_state_tests_do_the_same_on_both_machines() -> None:
    tallies = [run_fillers(path) for path in sorted(data_file(EXAMPLES).glob("*.json"))]
    assert sum(tally.count for tally in tallies) >= 4
    assert not any(tally.findings for tally in tallies)


def test_code_that_stores_the_gas_that_is_left_is_decided_by_gas() -> None:
    data_file(BUNDLE)  # two engines of ours never differ in gas
    (case,) = read_file(data_file(LOOKS_AT_GAS))
    compared = twins().compare(case)
    assert compared.difference
    assert compared.by_gas == LOOKED


LOOP = "20000 again: 1 SWAP1 SUB DUP1 3 MUL 7 ADD POP DUP1 @again JUMPI"
GAS_FORWARD = "CALLDATASIZE 0 0 CALLDATACOPY 32 0 CALLDATASIZE 0 {address} GAS STATICCALL 0 MSTORE 32 0 RETURN"


def within(share: float, ours: int, official: int) -> bool:
    return abs(ours / official - 1) <= share


def gas_of(case: Case) -> list[tuple[int, int]]:
    """Return (ours, official) gas of each message of a case without other differences."""
    compared = twins().compare(case)
    assert not compared.difference
    return [(mine.gas, other.gas) for mine, other in zip(compared.ours, compared.official, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("function", ["increment", "number"])
def test_deploying_and_calling_a_contract_costs_about_the_same(function: str) -> None:
    counter = contract("Counter")
    called = CallOf(SENDER, create_address(SENDER, 0), counter.interface.encode_call(function))
    calls = [CallOf(SENDER, None, counter.bytecode), called, called]
    for ours, official in gas_of(Case("counter", "one", {SENDER: AllocAccount(10**24)}, calls)):
        assert within(0.1, ours, official)


@pytest.mark.slow
def test_a_loop_costs_about_the_same() -> None:
    accounts = {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(0, 1, assemble(LOOP))}
    ((ours, official),) = gas_of(Case("loop", "one", accounts, [CallOf(SENDER, CONTRACT)]))
    assert official > 10**8
    assert within(0.1, ours, official)


@cache
def generated() -> CaseTally:
    return compare(seed=7, count=250, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("theme", THEMES)
def test_a_class_of_generated_contracts_costs_about_the_same(theme: str) -> None:
    assert abs(generated().ratios()[theme]["all"] - 1) < 0.1


@pytest.mark.parametrize("count", [1, 20, 300, 3000])
@pytest.mark.parametrize("is_mapping", [True, False], ids=["mapping", "array"])
def test_gas_of_storage_stays_close_however_many_slots_there_are(count: int, is_mapping: bool) -> None:
    slots = [int.from_bytes(keccak(bytes([1, *divmod(n, 256)])), "big") if is_mapping else n for n in range(count)]
    reads = " ".join(f"{slot} SLOAD POP" for slot in slots[:20])
    writes = " ".join(f"{slot} {slot} SSTORE" for slot in slots[-5:])
    code = assemble(f"{reads} {writes}")
    accounts = {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(0, 1, code, {slot: slot + 1 for slot in slots})}
    ((ours, official),) = gas_of(Case("slots", "one", accounts, [CallOf(SENDER, CONTRACT)]))
    assert within(0.05, ours, official)


def test_slot_that_gets_its_word_back_costs_the_write_of_its_nodes() -> None:
    code = assemble("2 1 SSTORE 1 1 SSTORE 2 2 SSTORE 1 2 SSTORE")
    accounts = {SENDER: AllocAccount(10**24), CONTRACT: AllocAccount(0, 1, code, {1: 1, 2: 1})}
    ((ours, official),) = gas_of(Case("guard", "one", accounts, [CallOf(SENDER, CONTRACT)]))
    assert within(0.05, ours, official)


@pytest.mark.parametrize("opcode", OPERANDS)
def test_gas_of_an_opcodes_operands_is_within_half_and_twice_the_official_actors(opcode: str) -> None:
    low, high = search(meter(), opcode, 120, seed=1)
    assert low.ratio > 0.5, low
    assert high.ratio < 2, high


# --- precompiles ------------------------------------------------------------------------------------------------------


# points of bn254 and BLS12-381 whose checks the official actor makes before it computes
FAILING = {
    "bn254_mul": words(1, 3, 1 << 255),
    "bn254_pairing": bytes(192 * 9) + words(1, 3) + bytes(128),
    "bls12_g1msm": (words(5, 5, size=64) + words(1 << 250)) * 4,
}


@cache
def meter() -> Meter:
    return Meter()


@pytest.mark.parametrize("name", PRECOMPILES)
def test_gas_of_drawn_operands_is_within_a_quarter_of_the_official_actors(name: str) -> None:
    low, high = search(meter(), name, 40, seed=1)
    assert low.ratio > 0.8, low
    assert high.ratio < 1.25, high


@pytest.mark.slow
@pytest.mark.parametrize("name", PRECOMPILES)
def test_gas_of_searched_operands_is_within_a_quarter_of_the_official_actors(name: str) -> None:
    low, high = search(meter(), name, 1000, seed=2)
    assert low.ratio > 0.8, low
    assert high.ratio < 1.25, high


def test_gas_of_a_product_modulo_zero_is_within_a_tenth_of_the_official_actors() -> None:
    numbers = (0, 0), (5, 7), (1 << 255, 0), (1 << 255, (1 << 256) - 1)
    batch = [tuple(number.to_bytes(32, "big") for number in (*each, 0)) for each in numbers]
    assert all(within(0.1, ours, official) for ours, official in meter().measure_opcode("MULMOD", batch))


@pytest.mark.parametrize("name", FAILING)
def test_precompile_refuses_points_before_its_full_price_is_due(name: str) -> None:
    ours, official = (refused_with_least_gas(twin, name) for twin in meter().twins)
    assert ours / official < 1.25


def refused_with_least_gas(twin: Twin, name: str) -> int:
    """Return the least gas limit, within 1 %, of a message that succeeds while a precompile refuses its input."""
    accounts = {
        SENDER: AllocAccount(10**24),
        CONTRACT: AllocAccount(0, 1, assemble(GAS_FORWARD.format(address=PRECOMPILES[name].number))),
    }
    least, most = 1_000_000, 1_000_000_000
    while most - least > most // 100:
        limit = (least + most) // 2
        case = Case(name, "one", accounts, [CallOf(SENDER, CONTRACT, FAILING[name])], Gas(limit))
        (outcome,) = twin.run(case)
        least, most = (least, limit) if outcome.exit_code == ExitCode.OK else (limit, most)
    return most


# --- typical transactions ---------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", WORKLOADS)
def test_typical_gas_is_within_ten_percent(name: str) -> None:
    found = cost(Artifacts(artifacts()), name)
    assert within(0.1, found.ours, found.official)


CASES = 150
GENERATED = 60
DATA = {10: "bundles/v10-mainnet.car", 12: "bundles/v12-testing-fake-proofs.car"}
FIRST, LAST = 18, 21


def installed_releases(version: int) -> list[Path]:
    return [path for name, path in downloaded_releases().items() if name.startswith(f"v{version}-")][:1]


def comparable_versions() -> list[int]:
    """Return the network versions with an available official module."""
    rows = [row for row in NETWORK_VERSIONS.values() if FIRST <= row.number <= LAST]
    return [*with_data(*(row.number for row in rows if row.actors in DATA or installed_releases(row.actors)))]


@lru_cache(1)
def older_twins(number: int) -> Twins:
    network = network_version(number)
    path = data_file(DATA[network.actors]) if network.actors in DATA else installed_releases(network.actors)[0]
    return Twins(Bundle.open(path), network=network)


def cases() -> Iterator[Case]:
    return (older_case(1, number) for number in range(CASES))


@pytest.mark.slow
@pytest.mark.parametrize("number", comparable_versions())
def test_each_older_version_matches_its_official_module(number: int) -> None:
    compared = [older_twins(number).compare(case) for case in cases()]
    assert not [found.difference for found in compared if found.difference]
    assert sum(outcome.exit_code == 0 for found in compared for outcome in found.official) > CASES


@pytest.mark.slow
@pytest.mark.parametrize("number", comparable_versions())
def test_programs_of_the_grammar_do_the_same_on_both(number: int) -> None:
    compared = [older_twins(number).compare(generate(7, case)) for case in range(GENERATED)]
    assert not [found.difference for found in compared if found.difference and not found.gas_decided]
