"""A client of the dispatcher in this process, without sockets."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from localnet import Network
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Dispatcher
from tests.localnet.conftest import Clock


class Failed(Exception):
    """An error response."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


@contextmanager
def refusal(code: int, match: str | None = None) -> Iterator[pytest.ExceptionInfo[Failed]]:
    """Expect an error response with a code, and with a text that matches."""
    with pytest.raises(Failed, match=match) as failed:
        yield failed
    assert failed.value.code == code


@dataclass
class Client:
    """A client of the dispatcher; `node` is the served node."""

    node: Node

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(self.node, _at_once)

    def send(self, body: bytes) -> Any:
        """Return the decoded response to any bytes; None for an empty one."""
        response = asyncio.run(self.dispatcher.dispatch(body))
        return json.loads(response) if response else None

    def __call__(self, method: str, *params: Any) -> Any:
        """Return the result of a method. Raises Failed."""
        response = self.send(json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode())
        assert (response["jsonrpc"], response["id"]) == ("2.0", 7)
        if "error" in response:
            raise Failed(response["error"])
        return response["result"]


async def _at_once(work: Callable[[], Any]) -> Any:
    return work()


@pytest.fixture
def rpc(network: Network) -> Iterator[Client]:
    """Return a client of the network on our own bundle."""
    yield from _closed(Client(Node(network)))


@pytest.fixture
def official_rpc(official: Network) -> Iterator[Client]:
    """Return a client of the network on an official bundle."""
    yield from _closed(Client(Node(official)))


@pytest.fixture
def narrow_rpc(network: Network) -> Iterator[Client]:
    """Return a client of a node with small limits."""
    yield from _closed(Client(Node(network, NodeLimits(batch=3, response=2_000, log_span=5, logs=2, mined=10))))


def client_fixture(make: Callable[[], Network]) -> Any:
    """Return a fixture that opens a network for each test and yields a client of its node."""

    @pytest.fixture
    def opened() -> Iterator[Client]:
        with make() as network:
            yield from _closed(Client(Node(network)))

    return opened


def _closed(client: Client) -> Iterator[Client]:
    yield client
    client.node.close()


@pytest.fixture
def fresh() -> Iterator[Client]:
    """Return a client of a network that other tests do not use, so that it may be reset to genesis."""
    with Network(clock=Clock()) as network:
        yield Client(Node(network))
