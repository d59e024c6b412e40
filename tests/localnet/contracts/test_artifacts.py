"""Compiled contracts by name, code and line in Foundry's and Hardhat's layouts; malformed ones are ignored."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ethereum.addresses import to_filecoin
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.contracts.argument_texts import readable_interface
from localnet.contracts.artifacts import ArtifactFolders, find_artifact
from localnet.contracts.contract import Artifact
from localnet.contracts.debug_info import CodePattern, debug_info
from localnet.contracts.source_maps import CodeMap, folder_reader
from localnet.state.controls import code_of
from localnet.traces.console_log import log_line

PROJECT = Path(__file__).resolve().parents[1] / "projects" / "foundry"  # compiled by forge 1.7 with solc
SOURCES = {name: (PROJECT / name).read_text(encoding="utf-8") for name in ("src/Lib.sol", "src/Vault.sol")}
BUILD = json.loads(next((PROJECT / "out" / "build-info").glob("*.json")).read_text(encoding="utf-8"))


def artifact(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PROJECT / "out" / "Vault.sol" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def standard_json() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return solc's standard JSON input and output, as Hardhat stores them."""
    sources = {path: {"id": int(number)} for number, path in BUILD["source_id_to_path"].items()}
    code = {
        name: {"evm": {key: {"object": artifact(name)[key]["object"][2:], "sourceMap": artifact(name)[key]["sourceMap"]}
               for key in ("bytecode", "deployedBytecode")}}
        for name in ("Vault", "Caller")
    }  # fmt: skip
    given = {"sources": {path: {"content": text} for path, text in SOURCES.items()}}
    return given, {"sources": sources, "contracts": {"src/Vault.sol": code}}


def write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def foundry(root: Path) -> Path:
    shutil.copytree(PROJECT, root / "project")
    return root / "project" / "out"


def hardhat_2(root: Path) -> Path:
    given, said = standard_json()
    write(root / "artifacts" / "build-info" / "abc.json", {"input": given, "output": said})
    for name in ("Vault", "Caller"):
        plain = {"abi": artifact(name)["abi"], "contractName": name, "sourceName": "src/Vault.sol"}
        plain |= {key: artifact(name)[key]["object"] for key in ("bytecode", "deployedBytecode")}
        write(root / "artifacts" / "src" / "Vault.sol" / f"{name}.json", plain)
        pointer = {"buildInfo": "../../build-info/abc.json"}
        write(root / "artifacts" / "src" / "Vault.sol" / f"{name}.dbg.json", pointer)
    return root / "artifacts"


def hardhat_3(root: Path) -> Path:
    given, said = standard_json()
    write(root / "artifacts" / "build-info" / "solc-1.json", {"input": given})
    write(root / "artifacts" / "build-info" / "solc-1.output.json", {"output": said})
    for name in ("Vault", "Caller"):
        plain = {"abi": artifact(name)["abi"], "contractName": name, "sourceName": "src/Vault.sol"}
        plain |= {key: artifact(name)[key]["object"] for key in ("bytecode", "deployedBytecode")}
        plain |= {"buildInfoId": "solc-1", "inputSourceName": "src/Vault.sol"}
        write(root / "artifacts" / "src" / "Vault.sol" / f"{name}.json", plain)
    return root / "artifacts"


@pytest.mark.slow
@pytest.mark.parametrize("layout", [foundry, hardhat_2, hardhat_3])
def test_deployed_contract_matches_by_code_ignoring_immutables(
    layout: Callable[[Path], Path], tmp_path: Path, network: Network
) -> None:
    folders = ArtifactFolders([layout(tmp_path)])
    contract = network.deploy(artifact("Vault"), 77)  # an immutable value in the code
    code = code_of(network.machine, to_filecoin(contract.address))
    found = folders.running(code)
    assert found is not None
    assert found.name == "Vault"
    assert folders.running(code[:100] + bytes([code[100] ^ 1]) + code[101:]) is None
    init_code = contract.interface.encode_constructor(bytes.fromhex(artifact("Vault")["bytecode"]["object"][2:]), 9)
    made = folders.creating(init_code)
    assert made is found
    runtime = found.debug().runtime
    assert runtime is not None
    lines = {runtime.line([place]) for place in range(len(runtime.code))}
    wanted = [("src/Lib.sol", "revert TooMuch"), ("src/Vault.sol", "held[msg.sender] -= amount")]
    assert {f"{path}:{SOURCES[path].partition(text)[0].count(chr(10)) + 1}" for path, text in wanted} <= lines


def other_run(root: Path) -> Path:
    """Create a project of two compiler runs: the second gave another source the ID of Lib.sol in Vault's run."""
    out = foundry(root)
    write(out / "build-info" / "other.json", {"source_id_to_path": {"0": "src/Other.sol", "1": "src/Vault.sol"}})
    (root / "project" / "src" / "Other.sol").write_text("// line\n" * 100, encoding="utf-8")
    return out


def lines_of_vault(out: Path) -> set[str]:
    (found,) = (found for found in ArtifactFolders([out]).contracts() if found.name == "Vault")
    runtime = found.debug().runtime
    assert runtime is not None
    lines = {runtime.line([place]) for place in range(len(runtime.code))}
    return {line.partition(":")[0] for line in lines if line is not None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "files"),
    [
        ("df838ec89bf95b59", {"src/Lib.sol", "src/Vault.sol"}),
        ("other", {"src/Other.sol", "src/Vault.sol"}),
        ("removed", {"src/Vault.sol"}),
        ("../../elsewhere", {"src/Vault.sol"}),
    ],
)
def test_lines_are_those_of_the_run_that_forges_cache_names(build: str, files: set[str], tmp_path: Path) -> None:
    out = other_run(tmp_path)
    write(tmp_path / "project" / "elsewhere.json", {"source_id_to_path": {"0": "src/Other.sol", "1": "src/Vault.sol"}})
    made = {"path": "Vault.sol/Vault.json", "build_id": build}
    cache = {"files": {"src/Vault.sol": {"artifacts": {"Vault": {"0.8.30": {"default": made}}}}}}
    write(tmp_path / "project" / "cache" / "solidity-files-cache.json", cache)
    assert lines_of_vault(out) == files


@pytest.mark.slow
def test_source_line_is_omitted_if_unnamed_compiler_runs_differ(tmp_path: Path) -> None:
    out = other_run(tmp_path)
    assert lines_of_vault(out) == {"src/Vault.sol"}
    (out / "build-info" / "other.json").unlink()
    assert lines_of_vault(out) == {"src/Lib.sol", "src/Vault.sol"}


def test_another_compilers_metadata_does_not_matter() -> None:
    bare = bytes.fromhex("6001600255")
    metadata = [b"\xa1\x64" + b"solc" + bytes([0x43, 0, 8, minor]) + (10).to_bytes(2, "big") for minor in (20, 21)]
    one, two = ((bare + data).hex() for data in metadata)
    assert CodePattern.of(one) == CodePattern.of(two)
    assert CodePattern.of(one).code == bare


def test_places_of_libraries_and_immutables_are_open() -> None:
    pattern = CodePattern.of("0x73" + "__$" + "ab" * 17 + "$__" + "7f" + "00" * 32 + "55")
    assert pattern.begins(bytes.fromhex("73" + "11" * 20 + "7f" + "22" * 32 + "55"))
    assert not pattern.begins(bytes.fromhex("73" + "11" * 20 + "7f" + "22" * 32 + "56"))


def test_artifact_lookup_rejects_ambiguous_names(tmp_path: Path) -> None:
    out = foundry(tmp_path)
    assert find_artifact("Vault", [out]).name == "Vault"
    shutil.copytree(out / "Vault.sol", out / "Other.sol")
    with pytest.raises(InvalidInput, match="several contracts are called 'Vault'"):
        find_artifact("Vault", [out])
    assert find_artifact("src/Other.sol:Vault", [out]).name == "Vault"
    with pytest.raises(InvalidInput, match="there is no compiled contract 'Absent'"):
        find_artifact("Absent", [out])


def test_later_artifacts_are_found_and_deleted_ones_dropped(tmp_path: Path) -> None:
    folders = ArtifactFolders([tmp_path / "out"])
    assert folders.contracts() == []
    shutil.copytree(PROJECT / "out", tmp_path / "out")
    assert [found.name for found in folders.contracts()] == ["Checks", "Caller", "Vault"]
    (tmp_path / "out" / "Vault.sol" / "Vault.json").unlink()
    assert [found.name for found in folders.contracts()] == ["Checks", "Caller"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"5", b"{}", b"\xff", b'{"abi": 5}',
        b'{"abi": [], "bytecode": 5}', b'{"abi": [], "bytecode": "0xz"}',
        b'{"abi": [], "bytecode": {"object": []}}', b'{"abi": [], "bytecode": {"object": "0x1"}}', b"[" * 100_000,
        b'{"abi": {}, "bytecode": "0x", "deployedBytecode": "0x"}',
        b'{"abi": [], "bytecode": "0x' + b"00" * (2 << 20) + b'"}',
    ],
)  # fmt: skip
def test_invalid_artifact_is_omitted(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "Bad.json").write_bytes(content)
    assert ArtifactFolders([tmp_path]).contracts() == []


def test_links_large_files_and_deep_folders_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.contracts.artifacts.MAX_ARTIFACT_BYTES", 5_000)
    monkeypatch.setattr("localnet.contracts.artifacts.MAX_FILES", 20)
    out = tmp_path / "out"
    out.mkdir()
    (out / "loop").symlink_to(out)
    (out / "Vault.json").symlink_to(PROJECT / "out" / "Vault.sol" / "Vault.json")
    shutil.copy(PROJECT / "out" / "Vault.sol" / "Vault.json", out / "TooLarge.json")
    for number in range(50):
        shutil.copy(PROJECT / "out" / "Lib.sol" / "Checks.json", out / f"Zhecks{number:02}.json")
    assert len(ArtifactFolders([out]).contracts()) == 18  # of 20 entries, the first two are none


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": None},
        {"metadata": {"settings": {"compilationTarget": {}}}},
        {"metadata": {"settings": {"compilationTarget": {"../secret.sol": "Vault"}}}, "id": 77},
        {"metadata": {"settings": {"compilationTarget": {"/etc/hostname": "Vault"}}}, "id": 77},
        {"id": "x"},
        {"deployedBytecode": {"object": "0x6001", "sourceMap": "a:b:c;;;"}},
        {"deployedBytecode": {"object": "0x6001", "sourceMap": "99999999999999999999:1:1"}},
        {"deployedBytecode": {"object": "0x6001", "sourceMap": "-5:1:1"}},
        {"deployedBytecode": {"object": "0x6001", "sourceMap": 5}},
    ],
)
def test_a_damaged_source_map_gives_no_line(changed: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "secret.sol").write_text("a\nb\nc\n" * 1000, encoding="utf-8")
    out = foundry(tmp_path)
    write(out / "Vault.sol" / "Vault.json", artifact("Vault") | changed)
    (found,) = [found for found in ArtifactFolders([out]).contracts() if found.name == "Vault"]
    runtime = found.debug().runtime
    lines = [] if runtime is None else [runtime.line([place]) for place in range(len(runtime.code))]
    assert {line for line in lines if line and not line.startswith("src/Lib.sol:")} == set()


def test_a_build_info_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = hardhat_2(tmp_path)
    (folder / "build-info" / "abc.json").rename(tmp_path / "abc.json")
    write(folder / "src" / "Vault.sol" / "Vault.dbg.json", {"buildInfo": "../../../abc.json"})
    (found,) = [found for found in ArtifactFolders([folder]).contracts() if found.name == "Vault"]
    assert found.debug().runtime is None


def test_a_source_is_read_below_its_folder_only(tmp_path: Path) -> None:
    (tmp_path / "a.sol").write_text("x", encoding="utf-8")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link.sol").symlink_to(tmp_path / "a.sol")
    read = folder_reader(tmp_path / "root")
    assert [read(path) for path in ("../a.sol", "link.sol", str(tmp_path / "a.sol"), "absent", "\0", ".")] == [None] * 6


def test_compiler_generated_code_has_no_line_but_prior_statement() -> None:
    source = b"contract A {\n  function f() {\n    g();\n  }\n}\n"
    text = f"{source.index(b'g();')}:3:0;-1:-1:-1;0:{len(source)}:0"
    code_map = CodeMap(bytes.fromhex("5b5bfd"), text, {0: "A.sol"}, lambda _: source)
    assert [code_map.line([2]), code_map.line([1]), code_map.line([2, 1, 0])] == [None, None, "A.sol:3"]


def test_entries_that_no_call_has_are_left_out_of_an_abi() -> None:
    good = {"type": "function", "name": "f", "inputs": [{"type": "uint8", "name": "x"}]}
    deep: dict[str, Any] = {"type": "tuple", "name": "t", "components": []}
    for _ in range(50):
        deep = {"type": "tuple", "name": "t", "components": [deep]}
    bad = [
        5, {}, {"type": "function"}, {"type": "function", "name": 5}, {"type": "function", "name": "g", "inputs": {}},
        {"type": "function", "name": "h", "inputs": [{"type": "Lib.Data storage"}]},
        {"type": "function", "name": "i", "inputs": [deep]}, {"type": "event", "name": "e", "inputs": [{"type": 5}]},
    ]  # fmt: skip
    interface = readable_interface([*bad, good])
    assert interface.decode_call(interface.encode_call("f", 5)) is not None
    assert interface.function_name(bytes(4)) is None
    refused: list[Any] = [5, None, {}, [good] * 2_001]
    for value in refused:
        with pytest.raises(InvalidInput):
            readable_interface(value)


LINKED_LATER = "6080604052__$5a58b8e1b5d8ae7cd9b5d0b1e15d6a8d3c$__6000"
"""Unlinked code of solc: a library's address is represented by 40 characters for 20 bytes."""


@pytest.mark.parametrize(
    ("artifact", "words"),
    [
        (
            {"object": LINKED_LATER, "linkReferences": {"src/Sums.sol": {"Sums": [{"start": 5, "length": 20}]}}},
            "is not linked: deploy Sums, and put",
        ),
        (LINKED_LATER, r"is not linked: deploy __\$5a58b8e1b5d8ae7cd9b5d0b1e15d6a8d3c\$__, and put"),
        ("0x60zz", "has bytecode that is not hex: '0x60zz'"),
    ],
    ids=["forge", "nameless", "no hex"],
)
def test_libraries_that_are_missing_are_named(artifact: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Artifact.load({"abi": [], "bytecode": artifact})


def test_hardhats_missing_libraries_are_named() -> None:
    content = {"abi": [], "bytecode": LINKED_LATER, "linkReferences": {"contracts/Sums.sol": {"Sums": []}}}
    with pytest.raises(InvalidInput, match="is not linked: deploy Sums, and put"):
        Artifact.load(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(
    ["uint256", "tuple", "tuple[]", "bytes32[2]", "string", "function", "uint", "mapping", "uint7", ""]
)
NAMES = st.sampled_from(["function", "event", "error", "constructor", "fallback"])


def _object(**fields: Any) -> Any:
    """Generate an object whose fields have a valid value, another kind of value, or are missing."""
    return st.fixed_dictionaries({}, optional={name: kind | JSON for name, kind in fields.items()})


def _items() -> Any:
    return st.lists(ITEM, max_size=3)


ITEM: Any = st.deferred(
    lambda: _object(name=st.text(max_size=4), type=TYPES, components=_items(), indexed=st.booleans())
)
ABI = st.lists(_object(type=NAMES, name=st.text(max_size=4), inputs=_items(), outputs=_items()), max_size=4)
CODE = _object(
    object=st.binary(max_size=40).map(lambda data: "0x" + data.hex()),
    sourceMap=st.text("0123456789:;-jio", max_size=60),
)
ARTIFACT = _object(
    abi=ABI, bytecode=CODE, deployedBytecode=CODE, id=st.integers(-1, 5), contractName=st.text(max_size=4),
    buildInfoId=st.text(max_size=8), sourceName=st.text(max_size=8),
    metadata=_object(settings=_object(compilationTarget=st.dictionaries(st.text(max_size=8), st.text(max_size=4)))),
)  # fmt: skip


@pytest.mark.slow
@given(ABI | JSON, st.binary(max_size=80))
def test_any_abi_is_read_or_refused_and_decodes_or_not(abi: Any, data: bytes) -> None:
    try:
        interface = readable_interface(abi)
    except InvalidInput:
        return
    interface.function_name(data)
    assert isinstance(interface.decode_revert(data), str)


@given(st.binary(max_size=200))
def test_any_calldata_is_a_line(data: bytes) -> None:
    assert "\n" not in log_line(data)


@given(
    st.binary(max_size=100),
    st.text("0123456789:;-jioz ", max_size=100),
    st.dictionaries(st.integers(-2, 3), st.text(max_size=3)),
    st.binary(max_size=50),
)
def test_any_source_map_gives_a_line_or_none(code: bytes, text: str, paths: dict[int, str], source: bytes) -> None:
    line = CodeMap(code, text, paths, lambda _: source).line(range(120))
    assert line is None or line.rpartition(":")[2].isdigit()


@pytest.mark.slow
@given(ARTIFACT)
def test_any_artifact_is_read_or_left_out(tmp_path_factory: Any, content: Any) -> None:
    folder: Path = tmp_path_factory.mktemp("out")
    (folder / "X.json").write_text(json.dumps(content), encoding="utf-8")
    for found in ArtifactFolders([folder]).contracts():
        info = found.debug()
        assert info.runtime is None or info.runtime.line([0]) is None  # there is no source


@pytest.mark.slow
@given(JSON | ARTIFACT, JSON, JSON)
def test_any_build_info_is_read_or_left_out(tmp_path_factory: Any, content: Any, given_: Any, said: Any) -> None:
    folder: Path = tmp_path_factory.mktemp("artifacts")
    (folder / "build-info").mkdir()
    (folder / "X.dbg.json").write_text(json.dumps({"buildInfo": "build-info/a.json"}), encoding="utf-8")
    (folder / "build-info" / "a.json").write_text(json.dumps({"input": given_, "output": said}), encoding="utf-8")
    if isinstance(content, dict):
        debug_info(content, folder / "X.json", folder, "X")
