"""The benchmark driver, and what its benchmarks measure.

- The bench driver reports missed targets, unmeasured rows, and rows without a target.
- Call counts of the standard code paths stay within the limits of bench/hops.toml, and an excess is detected.
- Measurement of the messages of vectors.
- The reference as a peer process, which responds to each input line and may print other output.
"""

import json
import os
import shutil
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench import __main__ as driver
from bench import hops, reference
from bench.data import PROJECT
from bench.hops import CallPath
from bench.messages import GOLDEN, microseconds, name_of, some, variants
from bench.reference import NoReference, Reference
from bench.rows import Row
from tests.conftest import bundle_folder, data_file


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Return the rows of the only area, `made_up`, whose targets are at most 10 ms each for `one` and `two`."""
    rows: list[Row] = []
    module = ModuleType("bench.bench_made_up")
    module.__dict__["rows"] = lambda: rows
    monkeypatch.setitem(sys.modules, "bench.bench_made_up", module)
    monkeypatch.setattr(driver, "areas", lambda: ["made_up"])
    monkeypatch.setattr(
        driver, "targets", lambda: [driver.BenchTarget("made_up", name, "ms", 10) for name in ("one", "two")]
    )
    monkeypatch.setattr(sys, "argv", ["bench", "--json"])
    return rows


def test_a_run_that_meets_every_target_ends_with_0(measured: list[Row]) -> None:
    measured += [Row("one", 10.0), Row("two", 0.5)]
    assert driver.main() == 0


def test_a_miss_ends_with_1_and_is_named(measured: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    measured += [Row("one", 1.0), Row("two", 10.1)]
    assert driver.main() == 1
    met = {row["name"]: row["met"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert met == {"one": True, "two": False}


@pytest.mark.parametrize("rows", [[], [Row("two", None, "its peer is not installed")]])
def test_unmeasured_target_exits_2_and_with_a_miss_exits_1(measured: list[Row], rows: list[Row]) -> None:
    measured += [Row("one", 1.0), *rows]
    assert driver.main() == 2
    measured[0] = Row("one", 11.0)
    assert driver.main() == 1


def test_missing_measurement_is_reported_as_not_run_with_reason(
    measured: list[Row], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured += [Row("one", 1.0), Row("two", None, "its peer is not installed")]
    monkeypatch.setattr(sys, "argv", ["bench"])
    assert driver.main() == 2
    table = capsys.readouterr().out
    assert "not run" in table
    assert "its peer is not installed" in table
    assert "missed" not in table


def test_a_row_without_a_target_is_an_error(measured: list[Row]) -> None:
    measured += [Row("three", 1.0)]
    with pytest.raises(LookupError, match="'three', which has no"):
        driver.main()


def test_bench_table_shows_met_and_missed_targets(
    measured: list[Row], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured += [Row("one", 1.0, parts={"a half": 0.5}), Row("two", 11.0)]
    monkeypatch.setattr(sys, "argv", ["bench"])
    assert driver.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [word for line in lines for word in ("met", "missed") if f" {word} " in line] == ["met", "missed"]
    assert any("a half" in line and "0.5 ms" in line for line in lines)


def test_every_target_has_its_area_and_a_name_of_its_own() -> None:
    due = driver.targets()
    assert {target.area for target in due} == set(driver.areas())
    names = [(target.area, target.name) for target in due]
    assert len(names) == len(set(names))
    assert all(target.peer for target in due if target.unit == "x"), "a ratio names its peer"


BOTH_RULES = ("eth_sendRawTransaction", "eth_call", "an SSTORE")


@pytest.fixture(scope="module")
def counted() -> dict[str, CallPath]:
    return hops.paths()


@pytest.mark.slow
def test_call_paths_match_rows_of_hop_limits(counted: dict[str, CallPath]) -> None:
    assert counted.keys() == hops.limits().keys()
    assert {f"{path}, {rules}" for path in BOTH_RULES for rules in ("filecoin", "ethereum")} < counted.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", hops.limits())
def test_call_path_length_stays_within_limit(counted: dict[str, CallPath], name: str) -> None:
    row = hops.limits()[name]
    assert not hops.is_longer(counted[name], row), counted[name].most.most_common(30)


TIPSETS = PROJECT / "tests" / "golden" / "tipsets" / "blocks-nv28.jsonl.gz"


def test_vectors_of_tipsets_are_omitted() -> None:
    """They apply no message, so a measurement of one would never end."""
    assert TIPSETS not in GOLDEN
    assert [*variants([TIPSETS], data_file("bundles"), some("blocks-213"))] == []


@pytest.mark.slow
def test_time_of_each_message_is_measured() -> None:
    name = "self/root/read@nv28:nv28"
    files = [file for file in GOLDEN if file.name == "self.jsonl.gz"]
    (variant,) = variants(files, bundle_folder(), lambda wanted, _: wanted == name)
    assert name_of(variant) == name
    (time,) = microseconds(variant, 0.001)
    assert 1 < time < 1e6


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
