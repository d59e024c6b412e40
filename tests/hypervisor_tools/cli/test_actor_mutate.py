"""`hypervisor actor mutate` on a small project."""

import json
import subprocess
import sys
from pathlib import Path
from signal import SIGINT, SIGTERM

import pytest
from wasmtime import wat2wasm

from hypervisor_tools import actor_mutation
from hypervisor_tools.actor_mutation import ActorMutation, summary_lines
from hypervisor_tools.soltest.mutate.results import MutantStatus
from tests.command import run

MODULE = """(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32)
  (if (i64.eq (i64.const 5) (i64.const 5)) (then) (else (unreachable)))
  (if (i64.lt_u (i64.const 5) (i64.const 6)) (then) (else (unreachable)))
  (i32.const 0)))"""
TEST = """
from pathlib import Path

def test_it_is_created(network):
    folder = Path(__file__).parent
    assert (folder / "fixtures" / "other.wasm").exists()
    assert network.actors.create(network.actors.install(folder / "one.wasm", folder / "interface.ipldsch"))
    {}
"""


SIX = bytes(wat2wasm(MODULE)).index(b"\x42\x05\x42\x06") + 3
LESS = SIX + 1
"""Offsets of the number 6 and of i64.lt_u, the operator after it."""


def project(folder: Path, more: str = "") -> Path:
    (folder / "Makefile").touch()
    (folder / "interface.ipldsch").write_text("type TotalReturn int\n", encoding="utf-8")
    (folder / "one.wasm").write_bytes(wat2wasm(MODULE))
    (folder / "fixtures").mkdir()
    (folder / "fixtures" / "other.wasm").touch()
    (folder / "test_one.py").write_text(TEST.format(more), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_changes_that_no_test_detects_are_listed(tmp_path: Path) -> None:
    done = run("actor", "mutate", project(tmp_path), "--no-build", "--json", "--min-score", 51)
    found = json.loads(done.stdout)
    assert found == {
        "summary": {
            "total": 4, "survived": 2, "not_covered": 0, "killed": 2, "timed_out": 0, "skipped": 0,
            "mutation_score": 50.0,
        },
        "mutants": [
            {"status": "survived", "place": "invoke", "line": None, "column": None, "change": change, "offset": offset}
            for change, offset in (("operand of i64.lt_u changed by 1", SIX), ("i64.lt_u -> i64.le_u", LESS))
        ],
    }  # fmt: skip
    assert f"Survived: invoke (i64.lt_u -> i64.le_u at offset {LESS:#x})\n" in done.stderr
    assert done.exit_code == 1
    assert (tmp_path / "one.wasm").read_bytes() == wat2wasm(MODULE)


@pytest.mark.slow
def test_a_test_that_fails_without_a_change_is_an_error(tmp_path: Path) -> None:
    done = run("actor", "mutate", project(tmp_path, "raise ValueError"), "--no-build")
    assert done.exit_code == 2
    assert "the tests fail without a change: FAILED test_one.py::test_it_is_created" in done.stderr


@pytest.mark.slow
def test_an_interruption_keeps_the_results_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = iter([MutantStatus.KILLED])

    def interrupted(*_: object, **__: object) -> MutantStatus:
        for status in statuses:
            return status
        raise KeyboardInterrupt

    monkeypatch.setattr(actor_mutation, "_try", interrupted)
    done = run("actor", "mutate", project(tmp_path), "--no-build", "--workers", 1)
    assert "interrupted: 3 more mutants were not tested\n1 mutants: 0 survived, 0 not covered, 1 killed" in done.stdout
    assert done.exit_code == 130


def test_a_stop_after_the_last_mutant_leaves_none_untested() -> None:
    assert [*summary_lines(ActorMutation((), 0, KeyboardInterrupt()))] == [
        "0 mutants: 0 survived, 0 not covered, 0 killed, 0 timed out",
        "no score",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "status"), [(SIGINT, 130), (SIGTERM, 143)])
@pytest.mark.parametrize("until", ["4 of 4 mutants: the tests run without a change", "Survived: "])
def test_results_are_printed_as_they_come_and_when_it_is_stopped(
    tmp_path: Path, signal: int, status: int, until: str
) -> None:
    """The module has no source lines, so both survivors of the second condition differ by their offset only."""
    program = Path(sys.executable).with_name("hypervisor")
    command = [program, "actor", "mutate", project(tmp_path, "__import__('time').sleep(1)"), "--no-build"]
    with subprocess.Popen(
        [*map(str, command), "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        before = next(line for line in running.stdout if line.startswith(until))
        running.send_signal(signal)
        after = running.stdout.read()
    assert running.returncode == status, after
    assert "more mutants were not tested\n" in after
    assert "mutants: " in after
    if until == "Survived: ":
        assert f"at offset {SIX:#x}" in before


@pytest.mark.slow
def test_tests_that_need_no_module_are_refused(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "copy").mkdir()
    (folder / "copy" / "one.wasm").write_bytes(wat2wasm(MODULE))
    test = folder / "test_one.py"
    test.write_text(
        test.read_text(encoding="utf-8").replace('folder / "one.wasm"', 'folder / "copy/one.wasm"'), "utf-8"
    )
    done = run("actor", "mutate", folder, "--no-build")
    assert "the tests pass without one.wasm" in done.stderr
    assert done.exit_code == 2


@pytest.mark.slow
def test_a_module_outside_the_project_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    folder, outside = project(tmp_path / "project"), tmp_path / "one.wasm"
    outside.write_bytes(wat2wasm(MODULE))
    (folder / "one.wasm").unlink()
    (folder / "one.wasm").symlink_to(outside)
    assert run("actor", "mutate", folder, "--no-build", "--count", 1).exit_code == 0
    assert outside.read_bytes() == wat2wasm(MODULE)


def test_a_project_without_a_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Makefile").touch()
    done = run("actor", "mutate", tmp_path, "--no-build")
    assert done.exit_code == 2
    assert "must have one built module" in done.stderr
