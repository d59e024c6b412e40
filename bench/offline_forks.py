"""Forks from the cache: requests and time of a first run, of a second one, and of one with `--offline`.

The forked network is served by a node in this process. Each input is an account with code, whose balance, nonce, code
and one slot are read. Under Filecoin's rules each input is an account of the state tree. An input passes the last stage
if the offline run returned the values of the first run.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from unittest.mock import patch

from bench.recorded import RunRecord, finish, options
from localnet import Network
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import OFFLINE, NodeClient
from localnet.rpc.node import Node
from localnet.rpc.server.server import serving
from tests.localnet.rpc.conftest import Client

_STAGES = ("read from the node", "read again", "read offline")


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """Count the requests of all clients."""
    requests, send = 0, NodeClient._request_once

    def count(client: NodeClient, method: str, body: str) -> object:
        nonlocal requests
        requests += 1
        return send(client, method, body)

    with patch.object(NodeClient, "_request_once", count):
        yield lambda: requests


def read_all(source: ForkSource, rules: str | None, accounts: list[str]) -> list[str]:
    """Return the values of all accounts on a fork, as JSON."""
    with Network(rules=rules, fork=source) as network:
        rpc = Client(Node(network))
        try:
            return [
                json.dumps([
                    rpc("eth_getBalance", account, "latest"), rpc("eth_getTransactionCount", account, "latest"),
                    rpc("eth_getCode", account, "latest"), rpc("eth_getStorageAt", account, "0x1", "latest"),
                ])
                for account in accounts
            ]  # fmt: skip
        finally:
            rpc.node.close()


def runs(rules: str | None, url: str, accounts: list[str]) -> tuple[list[list[str]], list[dict[str, float]]]:
    """Return the values, and requests and seconds, of three forks: the first, the second, and one offline."""
    online, offline = ForkSource(url, caches=True), ForkSource(url, options=OFFLINE)
    values, costs = [], []
    for source in (online, online, offline):
        with counted() as requests:
            began = time.monotonic()
            values.append(read_all(source, rules, accounts))
            costs.append({"requests": requests(), "seconds": round(time.monotonic() - began, 3)})
    return values, costs


def main() -> int:
    """Run each set of rules, and write the record."""
    chosen = options(__doc__, 200).parse_args()
    started, random = time.monotonic(), Random(chosen.seed)
    accounts = [f"0x{random.randbytes(20).hex()}" for _ in range(chosen.count)]
    stages, details = dict.fromkeys(_STAGES, chosen.count), {}
    findings: list[str] = []
    for rules in ("ethereum", None):
        with tempfile.TemporaryDirectory() as folder, Network(rules=rules) as network:
            os.environ["XDG_CACHE_HOME"] = folder
            for account in accounts:
                network.set_code(account, random.randbytes(200))
                network.set_storage(account, {1: random.getrandbits(256)})
            with serving(network) as url:
                values, costs = runs(rules, url, accounts)
            expected = values[0]
            for stage, found in zip(_STAGES, values, strict=True):
                stages[stage] = min(stages[stage], sum(map(str.__eq__, found, expected)))
            details[rules or "filecoin"] = dict(zip(("first", "second", "offline"), costs, strict=True))
            if costs[2]["requests"]:
                findings.append(f"{rules or 'filecoin'}: an offline run sent {costs[2]['requests']} requests")
    record = RunRecord(chosen.seed, chosen.count, stages, findings, details)
    return finish(record, chosen, started)


if __name__ == "__main__":
    raise SystemExit(main())
