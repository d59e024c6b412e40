"""Tests that compare with official bundles also offer a newer release once it is added.

The test data has no bundle of v19, so v18 under other code CIDs replaces it (`tests.stand_in`). Only the collection of
tests is checked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fvm_hypervisor.bundles.installing import add
from tests.conftest import data_file
from tests.stand_in import write_stand_in

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[3]
PROOFS, DEVNET = "v19-testing-fake-proofs", "v19-devnet"
COMMAND = ("-c", "import sys; from fvm_hypervisor.cli.main import main; sys.exit(main())")
SUITES = {
    "fvm_hypervisor/builtin_actors/test_same_power.py": (f"[{PROOFS}", f"[{DEVNET}"),
    "fvm_hypervisor/builtin_actors/test_same_miner.py": (f"[{PROOFS}", f"[{DEVNET}"),
    "lane/test_lane.py": (f"[{PROOFS}-", f"-own-v19-{PROOFS}]"),
    "examples/test_boot.py": (f"newer_bundle_has_equal_steps[{DEVNET}]",),
    "integration/test_filecoin_solidity.py": (f"[{PROOFS}-SendAPI]",),
    "conformance/test_actor_cases.py": (f"{PROOFS}]", f"{DEVNET}]"),
    "localnet/test_upgrade_to_nv29.py": (f"[own-{PROOFS}]", f"[fork-{DEVNET}]"),
}


@pytest.fixture(scope="module")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle folder to which the two releases of v19 were added."""
    folder, library = tmp_path_factory.mktemp("newer"), tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FVM_BUNDLE_DIR", str(library))
        for name in (PROOFS, DEVNET):
            file = folder / f"{name}.car"
            write_stand_in(data_file(f"bundles/{name.replace('v19', 'v18')}.car"), file)
            add(file, name)
    return library


def run(library: Path, *command: str) -> str:
    environment = os.environ | {"FVM_BUNDLE_DIR": str(library)}
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_official_bundle_suites_offer_added_release(release_folder: Path) -> None:
    files = [f"tests/{file}" for file in SUITES]
    offered = run(
        release_folder, "-m", "pytest", "--collect-only", "-q", "-m", "", "-n", "0", "-p", "no:cacheprovider", *files
    )
    lines = offered.splitlines()
    missing = [
        (file, part)
        for file, parts in SUITES.items()
        for part in parts
        if not any(line.startswith(f"tests/{file}::") and part in line for line in lines)
    ]
    assert missing == []


def test_contracts_are_compared_with_the_added_evm_actor(release_folder: Path) -> None:
    """Generated contracts (`make differential`) and the frame limits use the newest available bundle."""
    program = "from tests.conftest import newest_bundle; print(newest_bundle('bundles/v18-devnet.car'))"
    assert run(release_folder, "-c", program).strip() == str(release_folder / f"{DEVNET}.car")


def test_boot_example_finds_official_bundle_and_own_of_version(release_folder: Path) -> None:
    program = (
        "import examples.boot as boot; from hypervisor.bundle_library import actors_version, own_of;"
        "from hypervisor.network_versions import newest_with_actors;"
        "from hypervisor import Bundle; name = boot.official_bundle(); manifest = Bundle.open(name).manifest;"
        "actors = actors_version(manifest); print(name, newest_with_actors(actors).number, own_of(actors))"
    )
    assert run(release_folder, "-c", program).split() == [DEVNET, "29", "own-v19"]


def test_evm_actor_cases_run_on_the_added_release(release_folder: Path) -> None:
    cases = "tests/conformance/fevm/own.json"
    output = run(release_folder, *COMMAND, "fevmtest", cases, "--bundle", DEVNET, "--evm", "official", "--workers", "1")
    assert output.splitlines()[-1] == "12 passed, 0 failed, 0 skipped"
