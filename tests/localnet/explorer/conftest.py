"""A client of the pages in this process, without sockets, which parses responses like a browser."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from localnet import Network
from localnet.contracts.artifacts import ArtifactFolders
from localnet.explorer.pages import Pages
from localnet.explorer.site import Site
from localnet.rpc.methods import QueryKind
from localnet.rpc.node import Node, NodeReader
from tests.explorer.stage import ARTIFACTS, Stage, make_stage
from tests.localnet.conftest import Clock


@dataclass
class Visit(HTMLParser):
    """A response: status, headers, tags with attributes, and text."""

    status: int
    headers: dict[str, str]
    body: bytes
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        if self.headers["content-type"].startswith("text/html"):
            self.feed(self.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """Visible text of the page, with single spaces."""
        return " ".join(" ".join(self.words).split())

    @property
    def links(self) -> list[str]:
        return [attrs["href"] or "" for tag, attrs in self.tags if tag == "a" and "href" in attrs]


@dataclass
class Visitor:
    """Requests pages. `node` is the served node."""

    node: Node

    def __post_init__(self) -> None:
        self.site = Site(self.node, ArtifactFolders([ARTIFACTS]))
        self._pages = Pages(self.site, self._run_query)

    async def _run_query(self, query: Callable[[NodeReader], Any], kind: QueryKind) -> Any:
        return query(self.node)

    def __call__(self, address: str, method: str = "GET") -> Visit:
        return asyncio.run(self._visit(address, method))

    async def _visit(self, address: str, method: str) -> Visit:
        path, _, query = address.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(b"host", b"127.0.0.1:8545")],
        }
        sent: list[Any] = []
        request = iter([{"type": "http.request"}])

        async def receive() -> Any:
            for message in request:
                return message
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self._pages(scope, receive, send)
        start, body = sent
        return Visit(start["status"], {key.decode(): value.decode() for key, value in start["headers"]}, body["body"])


@pytest.fixture(scope="session")
def demo_stage() -> Iterator[Stage]:
    with Network(clock=Clock()) as network:
        yield make_stage(network)


@pytest.fixture
def stage(demo_stage: Stage) -> Iterator[Stage]:
    """Return the demo's network; changes by a test are reverted."""
    network = demo_stage.network
    snapshot, interfaces = network.snapshot(), dict(network._interfaces.known)
    yield demo_stage
    assert network.revert(snapshot)
    network._interfaces.known, network.automine = interfaces, True


@pytest.fixture
def visit(stage: Stage) -> Iterator[Visitor]:
    node = Node(stage.network)
    yield Visitor(node)
    node.close()
