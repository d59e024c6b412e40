"""Metrics: what is counted, and Prometheus' own readers of the text."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from localnet import Network
from localnet.fork.node_client import NodeClient, NodeError
from localnet.rpc.server.server import serving
from tests.harness.paths import PROJECT


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[str]:
    with Network(tmp_path / "chain") as network, serving(network) as url, NodeClient(url) as client:
        for _ in range(2):
            client.request("eth_chainId")
        client.request("evm_mine")
        for method in ("nothing", "nothing_else"):
            with pytest.raises(NodeError):
                client.request(method)
        client.request("eth_call", {"to": "0x" + "11" * 20}, "latest", {"0x" + "11" * 20: {"code": "0x60205ff3"}})
        with urlopen(f"{url}/metrics") as response:
            text: str = response.read().decode()
        yield text


def test_requests_queries_and_blocks_are_counted(metrics: str) -> None:
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
    }
    assert found["hypervisor_rpc_request_duration_seconds_count", "eth_chainId"] == 2
    assert found["hypervisor_rpc_request_duration_seconds_bucket", "+Inf", "eth_chainId"] == 2
    assert found["hypervisor_rpc_errors_total", "unknown"] == 2
    assert found["hypervisor_query_duration_seconds_count", "query"] == 1
    assert (found["hypervisor_block_height",], found["hypervisor_block_duration_seconds_count",]) == (1, 1)
    assert found["hypervisor_store_commits_total",] >= 1
    assert found["hypervisor_store_size_bytes",] > 0
    assert found["hypervisor_ready",] == 1


@pytest.mark.oracle
def test_names_follow_the_conventions(metrics: str) -> None:
    """The judge is the linter of `promtool check metrics`, which is built from a Go module."""
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine")
    linter = PROJECT / "tests" / "oracle" / "promlint"
    done = subprocess.run(["go", "run", "."], cwd=linter, input=metrics, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_dashboard_and_alerts_name_existing_metrics(metrics: str) -> None:
    texts = [file.read_text() for file in (PROJECT / "examples" / "operate").iterdir()]
    named = {name for text in texts for name in re.findall(r"hypervisor_\w+", text)}
    assert named <= set(re.findall(r"\w+", metrics))
