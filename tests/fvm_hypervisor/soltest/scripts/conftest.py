"""The project of scripts, compiled (`record.sh`), and a node to send them to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from localnet import Network
from localnet.rpc.server import serving

HERE = Path(__file__).parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project as forge has compiled it."""
    root = tmp_path / "project"
    shutil.copytree(HERE / "project", root)
    for name, content in json.loads((HERE / "compiled.json").read_text(encoding="utf-8")).items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def url(network: Network) -> Iterator[str]:
    """URL of the network's node."""
    with serving(network) as url:
        yield url
