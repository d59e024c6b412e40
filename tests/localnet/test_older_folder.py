"""A network's folder written by release 0.1.0 opens and continues."""

import tarfile
from pathlib import Path

import pytest

from localnet import Network
from tests.localnet.conftest import ARTIFACTS

FOLDER = "folder-0.1.0"
WRITTEN = Path(__file__).parents[1] / "data" / f"{FOLDER}.tar.xz"
"""Folder written by release 0.1.0: a Counter deployed and incremented, two tipsets, three null rounds, an increment."""
HEIGHT = 9
HEAD = "0171a0e40220dbf8c14a0f0621fee758a618017a4185ad33f8b1a867de3af029cc4d71ee377c"
STATE = "0171a0e4022090f104f8cf5d569f4cee4777fe54536fd78438f4d4a51196044a540bda86f6a0"
COUNTER = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
"""Address printed by that release."""


@pytest.mark.slow
def test_folder_of_oldest_release_opens_and_continues(tmp_path: Path) -> None:
    with tarfile.open(WRITTEN) as archive:
        archive.extractall(tmp_path, filter="data")
    with Network(tmp_path / FOLDER) as network:
        assert (network.block_number, network.head.key.hex(), network.machine.root.hex()) == (HEIGHT, HEAD, STATE)
        counter = network.contract(COUNTER, ARTIFACTS / "Counter.json")
        assert counter.call("number") == 2
        counter.send("increment")
    with Network(tmp_path / FOLDER) as network:
        assert network.contract(COUNTER, ARTIFACTS / "Counter.json").call("number") == 3
        assert network.block_number > HEIGHT
