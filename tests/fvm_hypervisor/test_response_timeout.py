"""`--timeout` limits how long commands wait for a node that accepts requests and does not respond."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event

import pytest

from fvm_hypervisor.cli.rpc_client import RESPONSE_TIMEOUT
from tests.command import run as run_command
from tests.web_server import Handler
from tests.web_server import serving as web_serving

SOMEBODY = "0x" + "12" * 20
HASH = "0x" + "12" * 32


@pytest.fixture
def mute_node() -> Iterator[str]:
    """The URL of a server that reads requests and sends nothing until the test ends."""
    ended = Event()

    class Mute(Handler):
        def do_POST(self) -> None:
            self.posted()
            ended.wait(60)

    with web_serving(Mute) as url:
        yield url
        ended.set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["balance", SOMEBODY],
        ["call", SOMEBODY, "f()"],
        ["trace", HASH],
        ["profile", HASH],
        ["actor", "call", "f0101", "1"],
        ["actor", "create", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_command_stops_waiting_after_its_timeout(mute_node: str, arguments: list[str]) -> None:
    started = time.monotonic()
    done = run_command(*arguments, "--rpc-url", mute_node, "--timeout", "0.05")
    assert time.monotonic() - started < 30, "the default is 120 seconds"
    assert done.exit_code == 1
    assert "did not respond" in done.stderr
    assert "within 0.05 s" in done.stderr
    assert RESPONSE_TIMEOUT.get() == 120, "a later command has the default again"


def test_check_of_a_node_stops_waiting_after_its_timeout(mute_node: str) -> None:
    done = run_command("doctor", mute_node, "--timeout", "0.05")
    assert done.exit_code == 1
    assert "within 0.05 s" in done.stdout
