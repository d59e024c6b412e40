"""Tests of the reader of Solidity's semantic tests, whose format is in the compiler's TestFileParser.cpp."""

from pathlib import Path

import pytest

from tests.peers.semantic import Runner, SemanticTest, network, read, read_all

WORD = (1).to_bytes(32, "big")
SOURCE = """contract Other {}
contract C { function f(uint256) external {} }
"""
CALLS = r"""// ====
// EVMVersion: >=paris
// revertStrings: debug
// ----
// library: L
// library: "a.sol":M
// constructor(), 2 ether: 1, "ab" ->
// gas legacy: 61000
// f(uint256,(bytes,bool)[]): -1,
// left(0x1), true # a comment, not 2 # -> FAILURE, hex"4e487b71", 0x11
// (): hex"f00" -> "\n\xff"
// ~ emit E(uint256): #1, "x"
// ~ emit <anonymous> from 0x0102030405060708090a0b0c0d0e0f1011121314
// balance: 0x42 -> right(7)
"""


def written(folder: Path, text: str) -> SemanticTest:
    (folder / "test.sol").write_text(text, encoding="utf-8")
    return read(folder / "test.sol")


def test_calls_have_values_arguments_ends_and_events(tmp_path: Path) -> None:
    test = written(tmp_path, SOURCE + CALLS)
    assert test.contract == ("", "C")
    assert test.settings == {"EVMVersion": ">=paris", "revertStrings": "debug"}
    assert test.libraries == (("", "L"), ("a.sol", "M"))
    constructor, call, fallback, balance = test.steps
    assert (constructor.value, constructor.arguments) == (2 * 10**18, WORD + b"ab".ljust(32, b"\0"))
    assert call.signature == "f(uint256,(bytes,bool)[])"
    assert call.arguments == b"\xff" * 32 + b"\x01".ljust(32, b"\0") + WORD
    assert (call.fails, call.output) == (True, bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"))
    assert (fallback.arguments, fallback.output) == (b"\x0f\x00", b"\n\xff".ljust(32, b"\0"))
    assert [event.partition(":")[0] for event in fallback.events] == [
        "emit E(uint256)", "emit <anonymous> from 0x0102030405060708090a0b0c0d0e0f1011121314"
    ]  # fmt: skip
    assert (balance.arguments, balance.output) == ((0x42).to_bytes(32, "big"), (7).to_bytes(32, "big"))


@pytest.mark.parametrize(
    ("setting", "runs"),
    [
        ("EVMVersion: >=cancun", True),
        ("EVMVersion: >cancun", False),
        ("EVMVersion: <cancun", False),
        ("EVMVersion: =shanghai", False),
        ("compileViaYul: also", True),
        ("compileViaYul: true", False),
        ("ABIEncoderV1Only: true", False),
    ],
)
def test_only_tests_of_the_legacy_pipeline_and_cancun_run(tmp_path: Path, setting: str, runs: bool) -> None:
    written(tmp_path, f"{SOURCE}// ====\n// {setting}\n// ----\n// f(uint256): 1 ->\n")
    assert bool(read_all(tmp_path)) is runs


def test_sources_are_read_by_name_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "_outside.sol").write_text("contract X {}", encoding="utf-8")
    named = "==== Source: a.sol ====\nlibrary L {}\n==== ExternalSource: x.sol=_outside.sol ====\n"
    test = written(
        tmp_path, f'{named}==== Source: b.sol ====\n{SOURCE}// ----\n// library: "a.sol":L\n// f(uint256): 1 ->\n'
    )
    assert dict(test.sources) == {"a.sol": "library L {}\n", "x.sol": "contract X {}", "b.sol": SOURCE}
    assert test.contract == ("b.sol", "C")
    assert test.compiler_input["settings"]["libraries"]["a.sol"].keys() == {"L"}


@pytest.mark.parametrize("rules", ["ethereum", "filecoin"])
def test_outputs_and_events_are_compared(tmp_path: Path, rules: str) -> None:
    """The code logs the word 7 without topics and returns it."""
    code = "600c600c600039600c6000f3" + "60075f5260205fa060205ff3"
    contracts = {"": {"C": {"evm": {"bytecode": {"object": code}}}}}

    def difference(output: int, logged: int) -> str:
        calls = f"// f(uint256): 1 -> {output}\n// ~ emit <anonymous>: {logged}\n// storageEmpty -> 1\n"
        return runner.run(written(tmp_path, f"{SOURCE}// ----\n{calls}"), contracts) or ""

    with network(rules) as on:
        runner = Runner(on)
        assert difference(7, 7) == ""
        assert difference(8, 7).startswith("f(uint256): success")
        assert difference(7, 8).startswith("f(uint256): events")
