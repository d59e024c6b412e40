"""Archives of vectors: the same bytes each time, and a check of each file against the manifest."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.archive import archive_bytes, manifest_of
from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from store.untrusted import gunzip, gzip_bytes
from tests.command import run
from tests.conformance.golden import GOLDEN
from tests.conftest import bundle_folder

NAME = "sample-1"


def files() -> dict[str, bytes]:
    """Return the files of an archive with two vectors that run no built-in actor."""
    vectors = {
        f"vectors/nv{vector['_meta']['id'][-2:]}/{number}.json": vector
        for number, vector in zip(range(2), read_vectors(GOLDEN / "self.jsonl.gz"), strict=False)
    }
    found = {path: json.dumps(vector).encode() for path, vector in vectors.items()} | {"README.md": b"read me\n"}
    return found | {"manifest.json": manifest_of({"license": "MIT"}, vectors, found)}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(archive_bytes(NAME, files()))) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / NAME


def conformance(path: Path) -> Any:
    arguments = ["conformance", str(path), "--workers", "1", "--bundle-dir", str(bundle_folder())]
    return run(*arguments)


def test_unpacked_archive_runs_without_its_manifest(unpacked: Path) -> None:
    found = conformance(unpacked)
    assert (found.exit_code, "2 passed, 0 failed" in found.stderr) == (0, True), found.output


def test_manifest_counts_vectors_and_has_the_digest_of_each_file(unpacked: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["vectors"] == 2
    assert sum(manifest["counts"][name]["message"] for name in manifest["counts"]) == 2
    assert sorted(manifest["files"]) == sorted(files().keys() - {"manifest.json"})
    for name, entry in manifest["files"].items():
        data = (unpacked / name).read_bytes()
        assert entry == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_archive_depends_on_neither_time_nor_order_nor_system(monkeypatch: pytest.MonkeyPatch) -> None:
    first = archive_bytes(NAME, files())
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert archive_bytes(NAME, dict(reversed(files().items()))) == first
    assert first[4:10] == bytes(4) + first[8:9] + b"\x03"  # no time; the system is Unix (RFC 1952)
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in tar} == {(0, 0, 0, "", 0o644)}
        assert tar.getnames() == sorted(f"{NAME}/{name}" for name in files())


def test_compressed_bytes_are_read_back() -> None:
    assert gunzip(gzip_bytes(b"some data")) == b"some data"


def _alter(folder: Path) -> None:
    path = next((folder / "vectors").rglob("*.json"))
    path.write_bytes(path.read_bytes().replace(b'"gas_used":', b'"gas_used": '))


def _remove(folder: Path) -> None:
    next((folder / "vectors").rglob("*.json")).unlink()


def _add(folder: Path) -> None:
    (folder / "vectors" / "own.json").write_text("{}")


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


@pytest.mark.usefixtures("high_limit")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_alter, ".json is altered: its SHA-256 is "),
        (_remove, ".json is missing, but "),
        (_add, "own.json is not in "),
        (_edit(lambda manifest: manifest.update(format=2)), "its format is 2, expected 1"),
        (_edit(lambda manifest: manifest.pop("files")), "manifest.json is not a manifest of vectors: KeyError"),
        (_edit(lambda manifest: manifest.update(files=[])), "manifest.json is not a manifest of vectors: "),
        (_edit(lambda manifest: manifest["files"].update({"../x": {"sha256": ""}})), "lists '../x', which is not a"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "is not a manifest of vectors"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff"), "is not a manifest of vectors"),
    ],
)
def test_damaged_archive_is_refused_with_the_file(unpacked: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(unpacked)
    found = conformance(unpacked)
    assert (found.exit_code, words in found.stderr) == (2, True), found.output
    assert found.stderr.count("\n") == 1
