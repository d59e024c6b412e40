"""The project of scripts, compiled (`record.sh`), and a node to send them to."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from localnet import Network
from localnet.rpc.server.server import serving
from tests.localnet.conftest import network_fixture

HERE = Path(__file__).parent


def compiled_project(folder: Path, name: str, compiled: Mapping[str, Any]) -> Path:
    """Return a copy of a project as forge has compiled it."""
    root = folder / name
    shutil.copytree(HERE / name, root)
    for path, content in compiled.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return compiled_project(tmp_path, "project", json.loads((HERE / "compiled.json").read_text(encoding="utf-8")))


network = network_fixture(lambda: Network())


@pytest.fixture
def url(network: Network) -> Iterator[str]:
    """URL of the network's node."""
    with serving(network) as url:
        yield url
