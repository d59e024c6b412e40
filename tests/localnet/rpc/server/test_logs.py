"""The node's log, as a process writes it to standard error."""

import json
import re
import subprocess
import sys

import pytest

from hypervisor.errors import InvalidInput
from localnet.rpc.server.logs import configure

SCRIPT = """
import logging, sys, time
from localnet import Network
from localnet.fork.node_client import NodeClient
from localnet.rpc.server import logs
from localnet.rpc.server.server import serving
logs._SLOW = 0.2
logs.configure(sys.argv[2:], sys.argv[1] == "json")
with Network() as network, serving(network) as url, NodeClient(url) as client:
    client.request("eth_chainId")
    mine, network.mine = network.mine, lambda *args, **options: time.sleep(0.3) or mine(*args, **options)
    client.request("evm_mine")
logging.getLogger("localnet.chain").warning("a warning of the chain")
"""


def run(form: str, *levels: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, form, *levels], capture_output=True, text=True, check=True)
    return [line for line in done.stderr.splitlines() if "uvicorn" not in line and "asyncio" not in line]


@pytest.mark.slow
def test_each_request_is_a_line_and_slow_ones_are_warnings() -> None:
    first, second, last = run("text", "debug")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    assert re.match(
        stamp + r"DEBUG   localnet\.rpc\.requests: eth_chainId id=\d+ client=127\.0\.0\.1 ms=\d+\.\d+", first
    )
    assert re.match(stamp + r"WARNING localnet\.rpc\.requests: evm_mine id=\d+ client=127\.0\.0\.1 ms=\d{3,}\.", second)
    assert re.match(stamp + r"WARNING localnet\.chain: a warning of the chain", last)


@pytest.mark.slow
def test_json_log_has_an_object_per_line_and_levels_by_area() -> None:
    (first, second) = map(json.loads, run("json", "error", "requests=debug"))
    assert {name: first[name] for name in ("level", "method", "client", "error")} == {
        "level": "debug", "method": "eth_chainId", "client": "127.0.0.1", "error": "",
    }  # fmt: skip
    assert second["milliseconds"] >= 300


def test_unknown_level_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'loud' is not a level: expected one of debug, info, warning, error"):
        configure(["rpc=loud"], as_json=False)
