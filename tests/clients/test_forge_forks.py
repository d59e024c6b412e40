"""Recorded results of forge for tests on forks of anvil (`golden.json.xz`) equal those of the installed forge."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from localnet.fork.node_client import NodeClient, NodeError
from tests.clients.conftest import EXAMPLE, PROJECT, forge_project, installed, start
from tests.fvm_hypervisor.soltest.forks import chains, golden
from tests.fvm_hypervisor.soltest.forks.conftest import CREATION
from tests.fvm_hypervisor.soltest.golden import of_forge


@contextmanager
def anvil(clients: Path, *options: str) -> Iterator[str]:
    """Yield the URL of a fresh anvil."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (program,) = (clients / "node_modules" / "@foundry-rs").glob("anvil-*-*/bin/anvil*")
    process = subprocess.Popen([program, "--port", str(port), "--silent", *options])
    try:
        url, begin = f"http://127.0.0.1:{port}", monotonic()
        with NodeClient(url) as node:
            while True:
                try:
                    node.request("eth_chainId")
                    break
                except NodeError:
                    assert monotonic() - begin < 60, "anvil does not answer"
                    sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def test_forge_matches_golden_file(tmp_path: Path) -> None:
    clients = installed(PROJECT / "build" / "clients", EXAMPLE)
    home = forge_project(tmp_path, golden.CONFIGURATION, golden.HERE / "contracts")
    with anvil(clients) as first, anvil(clients, "--chain-id", "777") as second:
        hashes = chains.build(first, CREATION, 8601)
        chains.build(second, CREATION, 8602)
        around = {**chains.environment(first, hashes, second), "HOME": home}
        command = ("forge", "test", "--use", EXAMPLE / "solc.mjs", "--json", "-vv")
        options = {
            "forge": ("--nmc", "UrlTest|OwnForks|HostileFork|FilecoinFork|Tipset"),
            "url": ("--mc", "UrlTest", "--fork-url", "first"),
        }
        for name, more in options.items():
            done = start(clients, *command, *more, folder=tmp_path, **around)
            assert of_forge(json.loads(done.stdout)) == golden.GOLDEN[name]
