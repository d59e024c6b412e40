"""Tests that compare with official bundles also offer a newer release once it is added.

The test data has no bundle of v19, so v18 under other code CIDs replaces it (`tests.stand_in`). Only the collection of
tests is checked.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor_tools.bundles import add
from tests.conftest import data_file
from tests.stand_in import write_stand_in

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[3]
PROOFS = "v19-testing-fake-proofs"
COMMAND = ("-c", "import sys; from hypervisor_tools.cli.main import main; sys.exit(main())")
SUITES = {
    "hypervisor/builtin_actors/test_same_power.py": (f"[{PROOFS}",),
    "hypervisor/builtin_actors/test_same_miner.py": (f"[{PROOFS}",),
    "lane/test_lane.py": (f"[{PROOFS}-", f"-own-v19-{PROOFS}]"),
    "examples/test_examples.py": (f"newer_bundle_has_equal_steps[{PROOFS}]",),
    "integration/test_filecoin_solidity.py": (f"[{PROOFS}-SendAPI]",),
    "conformance/test_actor_cases.py": (f"{PROOFS}]",),
    "localnet/chain/test_upgrade_to_nv29.py": (f"[own-{PROOFS}]", f"[fork-{PROOFS}]"),
}


@pytest.fixture(scope="module")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle folder to which a release of v19 was added."""
    folder, library = tmp_path_factory.mktemp("newer"), tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FVM_BUNDLE_DIR", str(library))
        file = folder / f"{PROOFS}.car"
        write_stand_in(data_file(f"bundles/{PROOFS.replace('v19', 'v18')}.car"), file)
        add(file, PROOFS)
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
    program = "from tests.conftest import newest_bundle; print(newest_bundle('bundles/v18-testing-fake-proofs.car'))"
    assert run(release_folder, "-c", program).strip() == str(release_folder / f"{PROOFS}.car")


def test_evm_actor_cases_run_on_the_added_release(release_folder: Path) -> None:
    cases = "tests/conformance/fevm/own.json"
    output = run(release_folder, *COMMAND, "fevmtest", cases, "--bundle", PROOFS, "--evm", "official", "--workers", "1")
    assert output.splitlines()[-1] == "12 passed, 0 failed, 0 skipped"
