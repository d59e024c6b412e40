"""examples/solstice in Solidity: a council and the real f02, under Filecoin's rules."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.conftest import start

SOLSTICE = Path(__file__).resolve().parents[2] / "examples" / "solstice"


def outcome_of(clients: Path, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    project = tmp_path / "a" / "b" / "solstice"
    shutil.copytree(SOLSTICE, project)
    program, solc = Path(sys.executable).with_name("hypervisor"), clients / "node_modules" / "solc"
    return start(clients, program, "test", "--rules", "filecoin", "--use", solc, *options, folder=project)


def test_the_council_governs_the_streams_of_network_version_29(clients: Path, tmp_path: Path) -> None:
    done = outcome_of(
        clients, tmp_path, "--network", "nv29", "-vvvv", "--match-test", "testRecipients|testShares|testA|testS"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 tests passed, 0 failed" in done.stdout
    assert "emit write-queued(op=SetWeightRecords, effective-epoch=4, payload={updates=[{id=1, weight=" in done.stdout
    assert "emit claim-payout(stream-id=2, recipient=" in done.stdout


def test_before_it_there_are_no_streams(clients: Path, tmp_path: Path) -> None:
    done = outcome_of(clients, tmp_path, "--network", "nv28")
    assert done.returncode == 1
    assert "vm.governStreams: streams of the block reward require network version 29 or newer" in done.stdout
