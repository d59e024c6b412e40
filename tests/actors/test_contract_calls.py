"""The crate `contract_calls`: its own tests, and what it says of methods and selectors, held against this project's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from actors import build
from bridge.filecoin_call import HANDLE_FILECOIN_METHOD
from bridge.method_numbers import INVOKE_EVM, method_number

CRATE = Path(build.ACTORS) / "contract_calls"


def test_the_crates_tests_expect_what_the_bridge_does() -> None:
    text = (CRATE / "src" / "tests.rs").read_text().replace("_", "")
    assert f"({INVOKE_EVM}, {method_number('Receive')})" in text
    assert f'"{HANDLE_FILECOIN_METHOD.hex()} {{words}}"' in text


def test_it_wants_no_other_version_of_the_sdk_than_the_guests() -> None:
    ours, theirs = (dict(locked(folder / "Cargo.lock")) for folder in (CRATE, build.GUESTS))
    shared = {"fvm_sdk", "fvm_shared", "fvm_ipld_encoding", "frc42_dispatch"}
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}


def locked(path: Path) -> list[tuple[str, str]]:
    return re.findall(r'^name = "(.+)"\nversion = "(.+)"$', path.read_text(), re.MULTILINE)


@pytest.mark.long
def test_the_crates_own_tests_pass() -> None:
    if shutil.which("rustup") is None:
        pytest.skip("this needs rustup and the pinned compiler: see actors/guests/rust-toolchain.toml")
    command = ["rustup", "run", build.toolchain(), "cargo", "test", "--quiet", "--locked"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(build.BUILD)}
    done = subprocess.run(command, cwd=CRATE, env=environment, capture_output=True, text=True, check=False)
    assert "16 passed" in done.stdout, done.stderr
