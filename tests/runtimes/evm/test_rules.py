"""The tables: opcodes and precompiles by network version."""

import pytest
from eth.vm import mnemonics, opcode_values
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES

from bridge.ethereum.addresses import EthAddress
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from runtimes.evm.opcodes import FILECOIN_OPCODES, OPCODE_NUMBERS
from runtimes.evm.precompiles.ethereum import ETHEREUM
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.precompiles.prices import PRICES
from runtimes.evm.rules import precompile_address
from tests.runtimes.evm.fake_host import rules_of

NUMBERS_OF_CANCUN_ONLY = {"BLOBHASH": 0x49, "BLOBBASEFEE": 0x4A, "CALLCODE": 0xF2}
_RENAMED = {"SHA3": "KECCAK256", "DIFFICULTY": "PREVRANDAO"}


def test_numbers_and_names_are_ethereums() -> None:
    ethereum = {
        _RENAMED.get(str(getattr(mnemonics, name)), str(getattr(mnemonics, name))): value
        for name, value in vars(opcode_values).items()
        if name.isupper() and hasattr(mnemonics, name)
    }
    ours = {name: number for name, number in OPCODE_NUMBERS.items() if name not in ("CLZ", "INVALID")}
    assert ours == {name: number for name, number in ethereum.items() if name in ours}
    assert set(ethereum) - set(ours) == {"CALLCODE", "BLOBHASH", "BLOBBASEFEE"} & set(ethereum)


def test_the_opcodes_are_cancuns_but_for_five() -> None:
    gone = {NUMBERS_OF_CANCUN_ONLY[name] for name in ("BLOBHASH", "BLOBBASEFEE", "CALLCODE")}
    assert set(FILECOIN_OPCODES) == set(CANCUN_OPCODES) - gone | {OPCODE_NUMBERS["CLZ"], OPCODE_NUMBERS["INVALID"]}


@pytest.mark.parametrize(
    ("version", "absent"),
    [
        (18, {"MCOPY", "TLOAD", "TSTORE", "CLZ"}),
        (23, {"MCOPY", "TLOAD", "TSTORE", "CLZ"}),
        (24, {"TLOAD", "TSTORE", "CLZ"}),
        (25, {"CLZ"}),
        (27, {"CLZ"}),
        (28, set()),
    ],
)
def test_opcodes_arrive_with_their_network_version(version: int, absent: set[str]) -> None:
    rules = rules_of(version)
    assert {op.name for number, op in FILECOIN_OPCODES.items() if number not in rules.opcodes} == absent
    assert rules.transient_storage == (version >= 25)


@pytest.mark.parametrize(
    ("address", "first_version"),
    [
        (precompile_address(0, 9), 18),
        (precompile_address(0xFE, 5), 18),
        (precompile_address(0xFE, 6), 24),
        (precompile_address(0, 0x0B), 27),
        (precompile_address(0, 0x11), 27),
        (precompile_address(0, 0x100), 28),
    ],
)
def test_precompiles_arrive_with_their_network_version(address: EthAddress, first_version: int) -> None:
    for version in NETWORK_VERSIONS:
        assert (address in rules_of(version).precompiles) == (version >= first_version)


def test_reserved_range_addresses_are_precompiles_even_if_empty() -> None:
    rules = rules_of(28)
    for prefix, index in ((0, 0x0A), (0, 0xFF), (0xFE, 4), (0xFE, 7), (0, 0x100)):
        assert rules.is_reserved(precompile_address(prefix, index))
    for prefix, index in ((0, 0), (0xFE, 0), (1, 1), (0, 0x101), (0xFE, 0x100)):
        assert not rules.is_reserved(precompile_address(prefix, index))
    assert not rules_of(27).is_reserved(precompile_address(0, 0x100))


def test_every_precompile_that_rules_name_exists_and_has_a_price() -> None:
    named = set(rules_of(28).precompiles.values())
    assert named == set(ETHEREUM) | set(FILECOIN)
    assert set(PRICES) == set(ETHEREUM)
