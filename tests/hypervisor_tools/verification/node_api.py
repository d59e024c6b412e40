"""A node that verifies contracts with a given compiler, and a client of its API."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hypervisor_tools.soltest.compile.compiler import Solc
from hypervisor_tools.verification.application import NodeVerification
from hypervisor_tools.verification.jobs import Verifier
from localnet import Network
from localnet.explorer.application import explorer
from localnet.rpc.server.server import serving
from tests.hypervisor_tools.verification.contracts import body

CHAIN: Final = 31415926


@dataclass
class Api:
    """A client of a node's API, and what the node uses."""

    network: Network
    url: str = ""
    solc: list[Solc] = field(default_factory=list)
    verification: NodeVerification | None = None

    def ask(self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        content = data if isinstance(data, bytes) else None if data is None else json.dumps(data).encode()
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        with closing(connection):
            connection.request(method, path, content, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def submit(self, address: str, data: Any = None, chain: Any = CHAIN) -> tuple[int, Any]:
        return self.ask("POST", f"/v2/verify/{chain}/{address}", body() if data is None else data)

    def verify(self, address: str, data: Any = None) -> Any:
        status, result = self.submit(address, data)
        assert status == 202, result
        return self.finished(result["verificationId"])

    def finished(self, name: str) -> Any:
        deadline = time.monotonic() + 60
        while True:
            status, job = self.ask("GET", f"/v2/verify/{name}")
            assert status == 200
            if job["isJobCompleted"]:
                return job
            assert time.monotonic() < deadline

    def contract(self, address: str, query: str = "") -> tuple[int, Any]:
        return self.ask("GET", f"/v2/contract/{CHAIN}/{address}{query}")


@contextmanager
def served(network: Network, solc: Solc, folder: Path | None = None, *, explored: bool = False) -> Iterator[Api]:
    api = Api(network, solc=[solc])
    verification = NodeVerification(lambda: api.url, folder)
    verification._verifier = Verifier(lambda: api.url, verification.stored, lambda _: api.solc[-1])
    pages = verification.wrap(explorer([], sources=verification.source_of) if explored else None)
    with serving(network, pages=pages) as api.url, closing(verification):  # jobs end before the node
        api.verification = verification
        yield api
