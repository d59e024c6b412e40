"""Tests of the examples' compiled contracts."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = PROJECT / "examples"
ARTIFACTS = sorted(path for path in EXAMPLES.glob("*/*.json") if "abi" in json.loads(path.read_text()))


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.stem)
def test_artifact_matches_adjacent_sources(path: Path) -> None:
    artifact = json.loads(path.read_text())
    sources = {source.name: source.read_bytes() for source in path.parent.glob("*.sol")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sources.items()}
    assert artifact["sources"] == digests, "run `scripts/examples`"
    assert artifact["packages"] == json.loads((EXAMPLES / "package.json").read_text())["dependencies"]


@pytest.mark.long
def test_the_compiler_makes_the_committed_artifacts() -> None:
    done = subprocess.run([PROJECT / "scripts" / "examples", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "IDENTICAL"), done.stdout + done.stderr
