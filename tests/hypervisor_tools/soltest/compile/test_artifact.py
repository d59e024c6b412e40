"""Contracts are found by the names that vm.getCode takes in forge 1.7.1, and read from artifacts of other tools."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from hypervisor_tools.soltest.cheatcodes.context import Permission, Settings
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.table import selector, table
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.trace.known_code import KnownCode
from tests.hypervisor_tools.soltest.here import written

CODE, DEPLOYED = b"\x60\x01\x60\x00\x52\x60\x20\x60\x00\xf3", b"\x60\x01"


def compiled(number: int) -> dict[str, Any]:
    return {
        "abi": [{"type": "function", "name": f"f{number}", "inputs": [], "outputs": [], "stateMutability": "view"}],
        "bytecode": {"object": f"60{number:02x}"},
        "deployedBytecode": {"object": f"61{number:02x}00"},
        "metadata": {"compiler": {"version": "0.8.30+commit.73712a01"}},
    }


Call = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Return a function that calls a cheatcode in a project with five contracts and with files in `data`."""
    contracts = {name: compiled(number) for number, name in enumerate(("Foo.sol:Bar", "Two.sol:Two", "Two.sol:More"))}
    names = {f"src/{name}": content for name, content in contracts.items()}
    names |= {"src/deep/Foo.sol:Other": compiled(3), "src/Face.sol:Face": {"abi": [], "bytecode": {"object": "0x"}}}
    for folder in ("cache", "data"):
        (tmp_path / folder).mkdir()
    artifacts = Artifacts(tmp_path, written(tmp_path / "cache", names), {})
    settings = Settings(
        root=tmp_path,
        permissions=[Permission("read", Path("data")), Permission("read", Path("out"))],
        artifacts=artifacts.search,
        contracts=KnownCode(artifacts).location,
    )
    context = SimpleNamespace(settings=settings, note_input=lambda _: None)
    return lambda signature, *arguments: table()[selector(signature)].run(context, *arguments)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Bar", 0), ("Foo.sol:Bar", 0), ("src/Foo.sol:Bar", 0), ("src/Foo.sol", 0), ("Bar:0.8.30", 0),
        ("Foo.sol:Bar:0.8.30", 0), ("src/Foo.sol:0.8.30", 0), ("Bar:0.8.30+commit", 0), ("out/Foo.sol/Bar.json", 0),
        ("Two.sol:Two", 1), ("deep/Foo.sol", 3), ("Foo.sol:Other", 3),
    ],
)  # fmt: skip
def test_contract_is_found_by_name_path_and_version(call: Call, name: str, number: int) -> None:
    assert call("getCode(string)", name) == bytes([0x60, number])
    assert call("getDeployedCode(string)", name) == bytes([0x61, number, 0])
    assert call("getSelectors(string)", name) == [selector(f"f{number}()")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Two.sol", "multiple matching artifacts found"),
        ("Foo.sol", "multiple matching artifacts found"),
        ("Bar:0.8.31", "no matching artifact found"),
        ("src/Foo.sol:Bar:0.8.29", "no matching artifact found"),
        ("oo.sol:Bar", "no matching artifact found"),
        ("Two.sol:", "no matching artifact found"),
        ("", "no matching artifact found"),
        ("data/Gone.json", "no matching artifact found"),
        ("out/Gone.json", "no matching artifact found"),
        ("Bar:0.8", "failed parsing version: '0.8' has not three numbers"),
        ("Face.sol:Face", "no bytecode for contract; is it abstract or unlinked?"),
        ("Face", "no bytecode for contract; is it abstract or unlinked?"),
        ("src/Foo.json", "the path src/Foo.json is not allowed to be accessed for read operations"),
    ],
)
def test_other_names_are_refused(call: Call, name: str, message: str) -> None:
    with pytest.raises(CheatcodeFailure) as failure:
        call("getCode(string)", name)
    assert message in failure.value.message


@pytest.mark.parametrize(
    "content",
    [
        {"abi": [], "bytecode": {"object": f"0x{CODE.hex()}"}, "deployedBytecode": {"object": f"0x{DEPLOYED.hex()}"}},
        {"_format": "hh-sol-artifact-1", "abi": [], "bytecode": f"0x{CODE.hex()}", "deployedBytecode": DEPLOYED.hex()},
        {"evm": {"bytecode": {"object": CODE.hex()}, "deployedBytecode": {"object": DEPLOYED.hex()}}, "abi": []},
    ],
    ids=["forge", "hardhat", "solc"],
)
def test_code_is_read_from_a_permitted_file(call: Call, tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "data/Plain.json").write_bytes(orjson.dumps(content))
    assert call("getCode(string)", "data/Plain.json") == CODE
    assert call("getDeployedCode(string)", "./data/Plain.json") == DEPLOYED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x", "the artifact is not JSON"),
        (b"[]", "no bytecode for contract"),
        (b'{"abi":[]}', "no bytecode for contract"),
        (b'{"abi":{},"bytecode":"0x00"}', "the ABI is not a list of objects"),
        (b'{"abi":[],"bytecode":"0xzz"}', "is corrupt"),
        (b'{"abi":[],"bytecode":"0x73__$' + b"a" * 34 + b'$__"}', "found unlinked bytecode"),
    ],
)
def test_file_without_linked_code_is_refused(call: Call, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data/Plain.json").write_bytes(content)
    with pytest.raises(CheatcodeFailure, match=message):
        call("getCode(string)", "data/Plain.json")


@pytest.mark.parametrize("inputs", ["", ',"inputs":5', ',"inputs":[{"type":1}]', ',"inputs":["x"]'])
def test_malformed_abi_of_a_file_is_refused(call: Call, tmp_path: Path, inputs: str) -> None:
    (tmp_path / "data/Plain.json").write_text(f'[{{"type":"function","name":"f"{inputs}}}]', "utf-8")
    with pytest.raises(CheatcodeFailure, match="has a function without its name or types"):
        call("getSelectors(string)", "data/Plain.json")


def test_path_of_an_artifact_is_forges(call: Call, tmp_path: Path) -> None:
    for signature, code in (
        ("getArtifactPathByDeployedCode(bytes)", "610300"),
        ("getArtifactPathByCode(bytes)", "6003"),
    ):
        assert call(signature, bytes.fromhex(code)) == f"{tmp_path}/out/Foo.sol/Other.json"
