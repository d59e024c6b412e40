"""Tables of opcodes and engines, and jump destinations.

- The tables: opcodes and precompiles by network version.
- Jump destinations and their cache.
- Engines by name: all commands report a missing one in one line.
"""

import random
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from eth.vm import mnemonics, opcode_values
from eth.vm.code_stream import CodeStream
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import RuntimeUnavailable
from hypervisor.installation import OFFICIAL_EVM, OWN_EVM
from hypervisor.machine.opening import EVM_ENGINES
from hypervisor.machine.registry import RuntimeServices
from hypervisor.versions.network_versions import NETWORK_VERSIONS
from hypervisor_tools.cli.options import OWN_ENGINE
from runtimes.evm import engines
from runtimes.evm.contracts.code import Code, CodeCache
from runtimes.evm.contracts.opcodes import FILECOIN_OPCODES, OPCODE_NUMBERS
from runtimes.evm.contracts.precompiles.ethereum import ETHEREUM
from runtimes.evm.contracts.precompiles.filecoin import FILECOIN
from runtimes.evm.contracts.precompiles.prices import PRICES
from runtimes.evm.contracts.rules import precompile_address
from runtimes.evm.runtime import EvmRuntime
from store.cid import RAW, cid_of
from tests.command import run
from tests.runtimes.evm.machines import rules_of

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


JUMPDEST = OPCODE_NUMBERS["JUMPDEST"]
dense_code = st.lists(st.sampled_from([JUMPDEST, 0x60, 0x61, 0x7F, 0x01, 0x00]), max_size=120).map(bytes)


@given(dense_code | st.binary(max_size=200))
def test_jump_destinations_are_those_of_py_evm(code: bytes) -> None:
    stream = CodeStream(code)
    expected = {place for place, byte in enumerate(code) if byte == JUMPDEST and stream.is_valid_opcode(place)}
    assert Code(code).jump_destinations == expected


def test_the_cache_gives_the_same_analysis_again() -> None:
    cache, code = CodeCache(), bytes([JUMPDEST])
    cid = cid_of(code, RAW)
    assert cache.get(cid, code) is cache.get(cid, code)


def test_the_cache_drops_the_least_recently_used_code() -> None:
    cache = CodeCache(max_bytes=250)
    codes = [bytes([number]) * 100 for number in range(3)]
    cids = [cid_of(code, RAW) for code in codes]
    first, second = (cache.get(cid, code) for cid, code in zip(cids[:2], codes[:2], strict=True))
    cache.get(cids[0], codes[0])
    cache.get(cids[2], codes[2])
    assert cache.get(cids[0], codes[0]) is first
    assert cache.get(cids[1], codes[1]) is not second


def test_code_larger_than_the_cache_is_still_analysed() -> None:
    cache, code = CodeCache(max_bytes=10), bytes([JUMPDEST]) * 100
    assert len(cache.get(cid_of(code, RAW), code).jump_destinations) == 100


@pytest.mark.slow
def test_undersized_code_cache_is_thread_safe() -> None:
    cache = CodeCache(max_bytes=40)
    codes = [bytes([number]) * 10 for number in range(8)]
    cids = [cid_of(code, RAW) for code in codes]

    def use(seed: int) -> None:
        for place in random.Random(seed).choices(range(len(codes)), k=20_000):
            assert cache.get(cids[place], codes[place]).data == codes[place]

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(use, range(4)))
    finally:
        sys.setswitchinterval(before)


@pytest.fixture
def without_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_FAST_MODULE", "runtimes.evm.frames.absent")


def test_machine_and_commands_share_engines_and_default() -> None:
    assert set(engines.FACTORIES) < set(EVM_ENGINES)
    assert OWN_EVM == OWN_ENGINE in engines.FACTORIES


def test_ways_to_run_a_call_are_those_of_the_architecture_page() -> None:
    """A further engine, guest or compiler is a further way."""
    evm = Path(engines.__file__).parent
    page = (evm.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("### Ways to run an EVM call\n")[1].split("\n#")[0]
    listed = re.findall(r"^\| `?([\w-]+)`? \|", section, re.MULTILINE)[1:]
    assert listed == ["session", "frame", "region", engines.PLAIN_ENGINE, OFFICIAL_EVM]
    assert {file.stem for file in evm.glob("guests/*/*.wasm")} == {"revm", "frames", "bn254"}
    assert {file.parent.name for file in evm.glob("**/compiler.py")} == {"regions"}


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RuntimeUnavailable, match="'geth' is not known: choose one of py-evm, fast"):
        EvmRuntime(RuntimeServices({"evm": "geth"}))


def test_missing_engine_is_refused_with_one_line_error(without_fast: None) -> None:
    with pytest.raises(RuntimeUnavailable, match="the EVM engine 'fast' is not installed: choose py-evm"):
        EvmRuntime(RuntimeServices({"evm": "fast"}))


@pytest.mark.parametrize("command", ["statetest", "fevmtest", "t8n", "node"])
def test_command_with_missing_evm_engine_exits_with_2(without_fast: None, command: str) -> None:
    # a node that did not refuse would serve for ever: this one cannot listen
    further = {"node": ["--host", "300.1.1.1"], "t8n": []}.get(command, ["x"])
    done = run(command, "--evm", "fast", *further)
    assert done.exit_code == 2
    assert "not installed" in done.output
