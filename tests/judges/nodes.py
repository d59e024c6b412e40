"""The nodes that answer requests: ours in this process, and what a judge's node has in common with it."""

import asyncio
import json
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from localnet import Network
from localnet.rpc.node import Node
from tests.judges.scripts import Block, Scripts
from tests.localnet.rpc.conftest import Client


class NoJudge(Exception):
    """Raised if a judge cannot be run here; the message names what is missing."""


class LostRound(Exception):
    """Raised if a judge's miner made no block in a round."""


class JudgedNode(ABC):
    """A node that answers requests and makes blocks."""

    @abstractmethod
    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        """Return the response to a request: its `result` or its `error`."""

    @abstractmethod
    def mine(self, block: Block | None) -> None:
        """Make a block, or one of the pool's transactions."""

    @abstractmethod
    def names(self) -> dict[str, str]:
        """Return the texts that differ between the nodes, by the placeholders that stand for them."""


def make_chain(node: JudgedNode, scripts: Scripts) -> None:
    """Make the blocks of chain.json."""
    for block in scripts.blocks():
        node.mine(block)


class OurNode(JudgedNode):
    """This project's node, in this process."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.node = Node(network)
        self._dispatcher = Client(self.node).dispatcher
        self._loop = asyncio.Runner()
        self.ask("evm_setAutomine", [False])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()
        self.node.close()
        self.network.close()

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        response = json.loads(self._loop.run(self._dispatcher.dispatch(json.dumps(body).encode())))
        return outcome(response)

    def submit(self, message: Any) -> None:
        """Submit a raw transaction or a signed message of chain.json."""
        if "error" in (response := submitted(self, message)):
            raise ValueError(f"our node refuses a message of chain.json: {response['error']}")


class Program(JudgedNode):
    """A judge's program, which runs until the end of the context, in a folder that is removed then."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stack = ExitStack()
        self.folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self.log = self._stack.enter_context((self.folder / "log").open("w+"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, command: list[str], url: str, **options: Any) -> None:
        """Start the program, and wait until it answers. Raises NoJudge."""
        process = subprocess.Popen(command, stdout=self.log, stderr=self.log, **options)
        self._stack.callback(_end, process)
        for _ in range(1800):
            if process.poll() is not None:
                break
            try:
                post(url, "eth_chainId", [])
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.fail()

    def fail(self) -> None:
        """Raise NoJudge with the end of the log."""
        self.log.seek(0)
        text = self.log.read()[-1000:]
        self._stack.close()
        raise NoJudge(f"{self._name} does not start:\n{text}")


def post(url: str, method: str, params: list[Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the response to a request: its `result` or its `error`."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = HttpRequest(url, body, {"content-type": "application/json", **(headers or {})})
    try:
        with urlopen(request, timeout=60) as reply:
            return outcome(json.loads(reply.read()))
    except HTTPError as error:  # the status of some errors, with the response as usual
        return outcome(json.loads(error.read()))


def outcome(response: dict[str, Any]) -> dict[str, Any]:
    """Return the result or the error of a response."""
    return {name: response[name] for name in ("result", "error") if name in response}


def submitted(node: JudgedNode, message: Any) -> dict[str, Any]:
    """Return the response to a raw transaction or a signed message."""
    return node.ask("eth_sendRawTransaction" if isinstance(message, str) else "Filecoin.MpoolPush", [message])


def free_ports(count: int) -> list[int]:
    """Return free ports of this machine."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(30)
