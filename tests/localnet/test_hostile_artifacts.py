"""Untrusted ABIs, source maps, logs and build infos are read or ignored, and raise no other error."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import InvalidInput
from localnet.contracts.abi_entries import readable_interface
from localnet.contracts.artifacts import ArtifactFolders
from localnet.contracts.debug_info import debug_info
from localnet.contracts.source_maps import CodeMap
from localnet.traces.console_log import log_line

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


@given(ARTIFACT)
def test_any_artifact_is_read_or_left_out(tmp_path_factory: Any, content: Any) -> None:
    folder: Path = tmp_path_factory.mktemp("out")
    (folder / "X.json").write_text(json.dumps(content), encoding="utf-8")
    for found in ArtifactFolders([folder]).contracts():
        info = found.debug()
        assert info.runtime is None or info.runtime.line([0]) is None  # there is no source


@given(JSON | ARTIFACT, JSON, JSON)
def test_any_build_info_is_read_or_left_out(tmp_path_factory: Any, content: Any, given_: Any, said: Any) -> None:
    folder: Path = tmp_path_factory.mktemp("artifacts")
    (folder / "build-info").mkdir()
    (folder / "X.dbg.json").write_text(json.dumps({"buildInfo": "build-info/a.json"}), encoding="utf-8")
    (folder / "build-info" / "a.json").write_text(json.dumps({"input": given_, "output": said}), encoding="utf-8")
    if isinstance(content, dict):
        debug_info(content, folder / "X.json", folder, "X")
