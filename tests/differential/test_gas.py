"""Derived gas of the EVM runtime is within a tenth of the official actor's, for transactions and opcode classes."""

from functools import cache

import pytest

from bridge.ethereum.addresses import EthAddress, create_address
from fvm_hypervisor.cli.demo.scenario import contract
from hypervisor.types import Gas
from runtimes.evm.ethereum.alloc import AllocAccount
from tests.differential.comparison import compare, twins
from tests.differential.generator import SENDER
from tests.differential.grammar import THEMES
from tests.differential.plants import NONE
from tests.differential.scenarios import Artifacts
from tests.differential.tally import CaseTally
from tests.differential.test_corpus import artifacts
from tests.differential.twins import CallOf, Case
from tests.differential.workloads import WORKLOADS, cost
from tests.runtimes.evm.assembler import assemble

CONTRACT = EthAddress(b"\xaa" * 20)
LOOP = "20000 again: 1 SWAP1 SUB DUP1 3 MUL 7 ADD POP DUP1 @again JUMPI"
GAS_FORWARD = "CALLDATASIZE 0 0 CALLDATACOPY 32 0 CALLDATASIZE 0 {address} GAS STATICCALL 0 MSTORE 32 0 RETURN"


def within(share: float, ours: int, official: int) -> bool:
    return abs(ours / official - 1) <= share


def gas_of(case: Case) -> list[tuple[int, int]]:
    """Return (ours, official) gas of each message of a case without other differences."""
    compared = twins(NONE).compare(case)
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
