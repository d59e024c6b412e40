"""What all tests share: where the test data outside the project lies."""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples at each run, and no time limits: neither luck nor another program on the machine fails a property.
# `make test ARGS=--hypothesis-profile=search` draws new ones.
_PATIENT = [HealthCheck.too_slow]
settings.register_profile("search", deadline=None, suppress_health_check=_PATIENT)
settings.register_profile("project", deadline=None, suppress_health_check=_PATIENT, derandomize=True, database=None)
settings.load_profile("project")

pytest_plugins = ("tests.suite_report", "pytester")

# A shell's background job ignores Ctrl-C, and so does what it starts: here it interrupts, and ends tests' nodes.
signal.signal(signal.SIGINT, signal.default_int_handler)

_PROJECT = Path(__file__).resolve().parent.parent


@cache
def fvm_data() -> Path | None:
    """The folder of vectors and bundles that are no part of the project (FVM_DATA, default ../shared), or None."""
    folder = Path(os.environ.get("FVM_DATA", _PROJECT / ".." / "shared")).resolve()
    if folder.is_dir():
        return folder
    if "FVM_DATA" in os.environ:
        raise FileNotFoundError(f"FVM_DATA names {folder}, which is no folder")
    return None


def data_file(name: str) -> Path:
    """A file or folder under `fvm_data()`. Skips the test without the folder; fails it where the file is missing."""
    folder = fvm_data()
    if folder is None:
        pytest.skip("no test data: set FVM_DATA to the folder that holds vectors/ and bundles/")
    path = folder / name
    if not path.exists():
        pytest.fail(f"{name} is missing from the test data in {folder}")
    return path
