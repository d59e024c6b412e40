"""EIP-3155 traces of state tests are byte for byte equal on both engines."""

import io

import pytest

from fvm_hypervisor.laboratory.vectors.statetest import run_file
from tests.conftest import data_file

FOLDERS = ("stExample", "stCreate2", "stReturnDataTest")
MAX_BYTES = 30_000
FILES_OF_A_FOLDER = 3


def lines(folder: str, engine: str) -> dict[str, str]:
    """Return the output for some small files of a folder."""
    files = sorted(data_file("vectors/GeneralStateTests").rglob(f"{folder}/*.json"))
    chosen = [path for path in files if path.stat().st_size < MAX_BYTES][:FILES_OF_A_FOLDER]
    traces = {}
    for path in chosen:
        out = io.StringIO()
        assert all(record["pass"] for record in run_file(path, None, engine, out))
        traces[path.name] = out.getvalue()
    return traces


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_both_engines_tell_every_instruction_alike(folder: str) -> None:
    plain, fast = lines(folder, "py-evm"), lines(folder, "fast")
    assert any('"opName": "SSTORE"' in text for text in plain.values())
    assert plain == fast
