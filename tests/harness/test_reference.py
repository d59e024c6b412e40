"""The reference as a peer process, which responds to each input line and may print other output."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.harness import reference
from tests.harness.reference import NoReference, Reference

VERBOSE = """#!/bin/sh
while read -r name; do
  head -c 1000000 /dev/zero | tr '\\0' 'w' >&2
  [ "$name" = last ] && { echo "no such vector" >&2; exit 1; }
  echo '{"messages": [{"least_us": 1.5}, {"least_us": 2}]}'
done
"""


def test_verbose_reference_never_blocks_and_reports_last_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "oracle"
    program.write_text(VERBOSE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(reference, "reference_program", lambda: program)
    with Reference(tmp_path, []) as peer:
        assert peer.microseconds("some:thing") == [1.5, 2]
        assert peer.microseconds("other:thing") == [1.5, 2]
        with pytest.raises(NoReference, match=r"no such vector$"):
            peer.microseconds("last")


CARGO = """#!/bin/sh
echo "$@" >>"$0.calls"
while [ "$1" != --target-dir ]; do shift; done
mkdir -p "$2/release" && cp "$0" "$2/release/oracle"
"""


@pytest.fixture
def cargo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stand-in for cargo that "builds" a copy of itself, with own sources and an own cache folder."""
    program = tmp_path / "bin" / "cargo"
    program.parent.mkdir()
    program.write_text(CARGO)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("Cargo.lock", "Cargo.toml", "rust-toolchain.toml", "src/main.rs", "contracts/Counter.hex"):
        source = tmp_path / "oracle" / name
        source.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reference.FOLDER / name, source)
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "oracle")
    monkeypatch.setattr(reference, "TARGET", tmp_path / "target")
    return program


def test_reference_is_built_once_per_version_of_its_sources(cargo: Path) -> None:
    first = reference.reference_program()
    assert reference.reference_program() == first == reference.cached_program()
    assert first.read_text() == CARGO
    calls = cargo.with_name("cargo.calls")
    assert len(calls.read_text().splitlines()) == 1
    os.utime(first, (0, 0))
    for name in ("Cargo.lock", "rust-toolchain.toml", "src/main.rs", "contracts/Counter.hex"):
        with (reference.FOLDER / name).open("a") as file:
            file.write("# changed\n")
        changed = reference.reference_program()
        assert [*changed.parent.iterdir()] == [changed] != [first], "the old program is older than a month"
        first = changed
        os.utime(first, (0, 0))
    assert len(calls.read_text().splitlines()) == 5
    os.utime(first)
    (reference.FOLDER / "Cargo.lock").write_text("# another copy of the repository")
    changed = reference.reference_program()
    assert {*changed.parent.iterdir()} == {changed, first}, "another copy may use it"


def test_failed_build_leaves_no_program(cargo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cargo.write_text("#!/bin/sh\nexit 101\n")
    assert reference.main() == 2
    assert capsys.readouterr().out == "NOT RUN: tests/oracle cannot be built: cargo's errors are above\n"
    assert not reference.cached_program().exists()
