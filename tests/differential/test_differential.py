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
from hypervisor.messages.message import Message
from hypervisor.types import Gas
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version
from hypervisor_tools.cli.demo.scenario import contract
from runtimes.evm.blocks.alloc import AllocAccount
from store.cid import CBOR, DAG_CBOR
from tests.conftest import data_file, with_data
from tests.differential.comparison import BUNDLE, STAGES, CaseTally, compare, twins
from tests.differential.corpus import read_file, run_fillers, run_scenario
from tests.differential.grammar import SENDER, THEMES, generate
from tests.differential.older import older_case
from tests.differential.scenarios import SCENARIOS, WORKLOADS, Artifacts, cost
from tests.differential.twins import GAS_LIMIT, LOOKED, CallOf, Case, Twins
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


# --- precompiles ------------------------------------------------------------------------------------------------------


def gas_words(*numbers: int, size: int = 32) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in numbers)


G1 = gas_words(1, 2)
"""Generator of bn254's first group (EIP-196)."""
G2 = gas_words(
    0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
    0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
    0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
    0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
)
"""Generator of bn254's second group (EIP-197)."""
BLS_G1 = gas_words(
    0x17F1D3A73197D7942695638C4FA9AC0FC3688C4F9774B905A14E3A3F171BAC586C55E83FF97A1AEFFB3AF00ADB22C6BB,
    0x08B3F481E3AAA0F1A09E30ED741D8AE4FCF5E095D5D00AF600DB18CB2C04B3EDD03CC744A2888AE40CAA232946C5E7E1,
    size=64,
)
"""Generator of BLS12-381's first group."""
BIG = (1 << 255) - 19
A_TRIFLE = 30_000
"""Negligible amount of gas: a message costs two million before execution."""

INPUTS = {
    "bn254 addition": (6, G1 + G1),
    "bn254 addition to infinity": (6, G1 + bytes(64)),
    "bn254 product": (7, G1 + gas_words(BIG)),
    "bn254 small product": (7, G1 + gas_words(9)),
    "bn254 product of infinity": (7, bytes(64) + gas_words(BIG)),
    "bn254 pairing": (8, G1 + G2),
    "bn254 two pairings": (8, (G1 + G2) * 2),
    "bn254 pairing with infinity": (8, bytes(64) + G2),
    "bn254 pairing refused": (8, gas_words(1, 3) + bytes(128)),
    "bls addition": (0x0B, BLS_G1 + BLS_G1),
    "bls addition refused": (0x0B, gas_words(5, 5, size=64) * 2),
    "bls product": (0x0C, BLS_G1 + gas_words(BIG >> 2)),
    "bls four products": (0x0C, (BLS_G1 + gas_words(BIG >> 2)) * 4),
    "bls product of infinity": (0x0C, bytes(128) + gas_words(BIG)),
    "bls pairing with infinity": (0x0F, BLS_G1 + bytes(256)),
    "modexp, odd": (5, gas_words(32, 32, 32, BIG, BIG, BIG)),
    "modexp, long": (5, gas_words(128, 32, 128) + b"\xab" * 288),
    "modexp, even": (5, gas_words(32, 32, 32, BIG // 3, BIG, BIG - 1)),
    "modexp, one": (5, gas_words(32, 32, 32, BIG, BIG, 1)),
    "p256 out of range": (0x100, bytes(160)),
    "blake2f": (9, gas_words(40, size=4) + bytes(209)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_precompile_gas_approximates_cost_of_its_wasm(name: str) -> None:
    """The cost of a call of an empty account with the same input is subtracted."""
    address, data = INPUTS[name]
    costs = []
    for number in (address, 0x13):
        accounts = {
            SENDER: AllocAccount(10**24),
            CONTRACT: AllocAccount(0, 1, assemble(GAS_FORWARD.format(address=number))),
        }
        costs.append(gas_of(Case(name, "one", accounts, [CallOf(SENDER, CONTRACT, data)], Gas(4 * 10**9)))[0])
    (ours, official), (no_ours, no_official) = costs
    spent, wanted = ours - no_ours, official - no_official
    assert within(0.15, spent, wanted) or abs(spent - wanted) < A_TRIFLE


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
