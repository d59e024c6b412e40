"""The benchmark driver, and what its benchmarks measure.

- The bench driver reports missed targets, unmeasured rows, and rows without a target.
- Measurement of the messages of vectors.
"""

import json
import sys
from types import ModuleType

import pytest

from bench import __main__ as driver
from bench.bench_reference import GOLDEN, microseconds, name_of, some, variants
from bench.rows import Row
from tests.conftest import bundle_folder, data_file
from tests.harness.paths import PROJECT


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
