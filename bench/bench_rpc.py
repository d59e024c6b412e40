"""Requests over JSON-RPC compared with anvil in one run: their processor time in the node, and their duration for viem.

The node has the default bundle. Requests of viem wait for one another, and their duration includes viem itself.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.bench_node import node
from bench.data import PROJECT
from bench.peers import Costs, Running, anvil, hardhat
from bench.rows import Row

COSTS: Final = {
    "chain_id": "eth_chainId",
    "call": "eth_call of an empty function",
    "transfer": "a transfer",
    "receipt": "a transfer and its receipt",
    "batched": "a transfer of a batch",
    "block": "a transfer of a block of 100",
    "mined": "an empty block",
    "writes": "a transaction with 500 fresh slots",
    "deployment": "a deployment of 20 KB",
}
"""Rows by the fields of `Costs`."""
VIEM: Final = {
    "transfer": "a transfer by viem",
    "estimateGas": "estimateGas by viem",
    "getLogs": "getLogs of 200 logs by viem",
    "call": "call by viem",
}
"""Rows by the requests of viem.mjs."""
_PROGRAM: Final = Path(__file__).with_name("viem.mjs")
_VIEM: Final = PROJECT / "build" / "clients" / "node_modules" / "viem" / "_esm" / "index.js"

Microseconds = dict[str, float]
"""Microseconds by request."""
StartedNode = Callable[[], AbstractContextManager[Running | None]]


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    with TemporaryDirectory() as folder:
        ethereum, filecoin = (partial(node, Path(folder), None, "--rules", rules) for rules in ("ethereum", "filecoin"))
        hardhat_node = partial(hardhat, Path(folder))
        for names, measure in ((COSTS, _costs), (VIEM, _durations)):
            peers = {"anvil": measure(anvil), "Hardhat": measure(hardhat_node)}
            yield from beside_anvil(names, "Ethereum's rules", measure(ethereum), peers)
            yield from beside_anvil(names, "Filecoin's rules", measure(filecoin), peers)


def beside_anvil(
    names: dict[str, str], rules: str, ours: Microseconds | None, peers: dict[str, Microseconds | None]
) -> Iterator[Row]:
    """Yield our microseconds as multiples of anvil's; the parts show all nodes' microseconds."""
    theirs = peers["anvil"]
    for key, name in names.items():
        if ours is None or theirs is None:
            yield Row(f"{name}, {rules}", None, "anvil or viem is not installed: run scripts/clients")
            continue
        parts = {"ours, us": ours[key]} | {f"{peer}, us": found[key] for peer, found in peers.items() if found}
        yield Row(f"{name}, {rules}", ours[key] / theirs[key], parts=parts)


def _costs(start: StartedNode) -> Microseconds | None:
    """Return the fields of `Costs`, or None without the node."""
    with start() as running:
        return None if running is None else asdict(Costs.of(running))


def _durations(start: StartedNode) -> Microseconds | None:
    """Return microseconds by the requests of viem, or None without the node or viem."""
    if not _VIEM.is_file():
        return None
    with start() as running:
        if running is None:
            return None
        command = ["node", str(_PROGRAM), str(_VIEM), f"http://127.0.0.1:{running.port}"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Microseconds = json.loads(done.stdout)
    return found
