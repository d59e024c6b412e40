"""Programs that tests run with `ffi` end with all their children, and their output is limited."""

import subprocess
import time
from pathlib import Path

import pytest

from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from fvm_hypervisor.soltest.programs import run_program
from tests.patience import slowness

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def test_a_program_has_its_status_and_both_of_its_outputs(tmp_path: Path) -> None:
    done = run_program(["sh", "-c", "pwd; echo no >&2; exit 3"], tmp_path, ENVIRONMENT, check_size)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n".encode(), b"no\n")


@pytest.mark.slow
def test_child_holding_program_output_is_killed_with_it(tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sh", "-c", "sleep 30 & echo $! > pid; echo 00"], tmp_path, ENVIRONMENT, check_size, seconds=1.0)
    assert time.monotonic() - begun < 15 * slowness()
    status = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    for _ in range(100):
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the program's child lives on")


def test_output_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheatcodeFailure, match="exceeds the limit of 16777216 bytes"):
        run_program(["yes"], tmp_path, ENVIRONMENT, check_size)
