"""The server, HTTP and WebSockets on one port: on a loopback address, until it is stopped.

A separate thread updates the address index incrementally, concurrently with requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import os
import resource
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.types import ASGIApp

from hypervisor.errors import InvalidInput
from hypervisor.threads import GIL_POLICY, Stacks
from localnet.ledger.address_index import AddressIndex
from localnet.ledger.candidates import Candidate
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from localnet.network import Network
from localnet.rpc.node import BlockTimer, Node, NodeConsole, NodeLimits
from localnet.rpc.server.access import ClientLimits, Clients
from localnet.rpc.server.clients import Access, UnreadResponses
from localnet.rpc.server.executors import Executors, RunQuery
from localnet.rpc.server.http import application
from localnet.rpc.server.http_protocol import http_protocol
from localnet.rpc.server.metrics import Blocks
from localnet.rpc.server.websocket import SocketProtocol
from store.blockstore import StoreError

if TYPE_CHECKING:
    from localnet.rpc.server.prometheus import NodeMetrics
    from localnet.rpc.tokens import Tokens

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 50
"""Number of tipsets indexed per step, which takes some milliseconds."""
_PAUSE: Final = 0.01
"""Pause in seconds between steps while the index catches up with the chain."""
_REST: Final = 0.25
"""Pause in seconds at the head, so that tipsets of a fast chain are indexed in batches."""


class IndexFollower:
    """The thread that updates the address index. Tipsets that are not indexed yet are searched directly."""

    def __init__(self, node: Node, addresses: AddressIndex) -> None:
        self._node, self._addresses = node, addresses
        self._moved, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="addresses", daemon=True)

    def start(self) -> None:
        """Start indexing at the end of the index."""
        self._node.network.chain.watchers.append(self)
        self._moved.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and close the index."""
        if self in self._node.network.chain.watchers:
            self._node.network.chain.watchers.remove(self)
        self._stopped.set()
        self._moved.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._addresses.close()

    def applied(self, tipset: Tipset) -> None:
        """Wake up the thread."""
        self._moved.set()

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Wake up the thread, which drops reverted entries in its next step."""
        self._moved.set()

    def accepted(self, candidate: Candidate) -> None:
        """Ignore pending transactions."""

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._moved.wait()
                self._moved.clear()
                while not self._stopped.is_set() and self._addresses.follow(self._chain(), _AT_ONCE):
                    self._stopped.wait(_PAUSE)
                self._stopped.wait(_REST)
        except (StoreError, sqlite3.Error) as error:  # the rest is searched tipset by tipset
            _LOG.error("the address index is no longer updated: %s", error)

    def _chain(self) -> ChainIndex:
        """Return the last published index of the chain, for this thread."""
        chain, point = self._node.network.chain, self._node.point
        index = ChainIndex(chain.machine.base, chain.index)
        index.head, index.chain_ids = point.facts[0].height, list(point.chain_ids)
        return index


MakePages = Callable[[Node, RunQuery], ASGIApp]
"""Factory of a node's pages; the second argument sends queries to the node."""

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8545
_KEEP_ALIVE = 75
_SWITCH_INTERVAL = 0.0005
"""GIL switch interval in seconds while a contract runs: a response needs several switches to the event loop."""
_ALLOCATIONS = 10_000
"""Threshold of the cyclic garbage collector. A block allocates some hundred objects and almost no cycles."""
_GRACE = 1.0
"""Seconds after which a shutdown interrupts running requests."""
_COLLECTION_INTERVAL = 1.0
"""Interval in seconds at which the collection of old states is started."""
_MAX_STEP = 0.005
"""Maximum duration in seconds of a step of that collection, and so of the delay of a request."""
_STEP_PAUSE = 0.02
"""Pause in seconds between two steps of that collection."""
_ACCEPTED = 8
"""Maximum number of connections accepted in one turn of the event loop; each one is an open file."""
_BACKLOG = 2048
"""Backlog of the listening socket; the system may use a smaller one."""
_OTHER_FILES = 256
"""Number of open files reserved for the store, the process, and connections that will be refused."""
_LAST_GRACE = 10
"""Maximum duration in seconds of a shutdown; remaining requests are cancelled."""
_POLL_INTERVAL = 0.002
"""Interval in seconds at which the shutdown checks for open connections."""


class Server:
    """A server of a network on a port; 0 selects a free one. `url` is its URL."""

    def __init__(
        self,
        network: Network,
        port: int = DEFAULT_PORT,
        limits: NodeLimits | None = None,
        access: Access | None = None,
        interval: BlockTimer | None = None,
        *,
        host: str = HOST,
        signs: bool | None = None,
        keep_states: int | None = None,
        impersonates: bool = False,
        throws_on_failure: bool = False,
        pages: MakePages | None = None,
        addresses: AddressIndex | None = None,
        tokens: Tokens | None = None,
        client_limits: ClientLimits | None = None,
        trusts_forwarded: bool = False,
    ) -> None:
        """Bind the port. `access` allows clients on other machines; `interval` is the timing of blocks.

        `host` is the listening address; if other machines can reach it (`is_external`), the node signs only with
        `signs`. With `keep_states`, states of older blocks are collected. With `impersonates`, the node sends from any
        address without a key. With `throws_on_failure`, sending a transaction that fails is an error. `pages` creates
        the explorer (`localnet.explorer`). The index `addresses` follows the chain and is closed at the end. The last
        three arguments are rights and limits of clients (`localnet.rpc.server.access`). Raises
        InvalidInput if the port is in use, or if `keep_states` is set without a folder.
        """
        self.network = network
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        signs = not is_external(host) if signs is None else signs
        self._node = node = Node(
            network,
            limits or NodeLimits(),
            interval=interval or BlockTimer(),
            signs=signs,
            keep_states=keep_states,
            impersonates_all=impersonates,
            throws_on_failure=throws_on_failure,
            addresses=addresses,
        )
        self._follower = None if addresses is None else IndexFollower(node, addresses)
        if keep_states is not None:
            node.folder_collector.turn(0)  # report invalid settings before serving requests
        self._executors, access = Executors(node), access or Access()
        self._blocks = Blocks(network.chain)
        node.tokens, clients = tokens, Clients(tokens, client_limits, trusts_forwarded)
        self._metrics: NodeMetrics | None = None
        dispatcher, unread = self._executors.dispatcher, UnreadResponses(node.limits.held, node.limits.silence)
        shown = None if pages is None else pages(node, self._executors.query)
        self._server = _Uvicorn(
            uvicorn.Config(
                application(node, dispatcher, access, shown, self._render_metrics, clients),
                http=http_protocol(  # type: ignore[arg-type]  # a factory
                    dispatcher.respond, access, clients, _within_open_files(node.limits), unread
                ),
                ws=partial(SocketProtocol, unread),  # type: ignore[arg-type]  # a factory, too
                ws_max_size=node.limits.body,
                ws_ping_interval=node.limits.ping,
                ws_ping_timeout=node.limits.ping,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                backlog=_ACCEPTED,
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )
        self._server.on_overdue = self._executors.interrupt
        self._server.is_busy = lambda: self._executors.chain.is_busy
        self._server.background = self._background

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT or SIGTERM, or `stop`; `on_ready` is called when requests are answered.

        A running request then has a second to finish; after that, its message is aborted without effect.
        """
        self._server.on_ready = on_ready
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        try:
            with GIL_POLICY.releasing(), _rare_collections():
                if self._follower is not None:
                    self._follower.start()
                with self._server.stopped_by_signals():
                    # on a large stack, so that the event loop's thread can execute calls itself
                    Stacks().on_one_thread(partial(self._server.run, sockets=[self._socket]))
                self._executors.stop()  # no guest may be left when Python ends
        finally:
            sys.setswitchinterval(before)
            self._executors.stop()
            if self._follower is not None:
                self._follower.stop()
            self._blocks.stop()
            self._node.close()
            self._socket.close()

    async def _background(self) -> None:
        load = asyncio.to_thread(self._load_remaining_methods)
        await asyncio.gather(load, self._node.interval.run(self._mine), self._collect_garbage())

    def _load_remaining_methods(self) -> None:
        """Load the other methods, and the runtime of native actors, which the first block of most networks calls.

        Nothing depends on it: what cannot be loaded now, such as at the limit of open files, is loaded on first use.
        """
        machine = self.network.machine
        try:
            self._executors.dispatcher.methods.load_all(lambda: self._server.should_exit)
            if not self._server.should_exit:
                machine.registry.runtime_for(machine.manifest.code("cron"))
        except Exception:  # noqa: BLE001  # the request that needs it reports it
            _LOG.debug("not everything is loaded in advance", exc_info=True)

    async def _collect_garbage(self) -> None:
        """Collect garbage in short steps between requests. A repeated failure is logged once."""
        logged = ""
        while self._node.keep_states is not None:
            await asyncio.sleep(_COLLECTION_INTERVAL)
            try:
                while (
                    turn := await self._executors.chain.run(lambda: self._node.folder_collector.turn(_MAX_STEP))
                ) and not turn.done:
                    await asyncio.sleep(_STEP_PAUSE)
                logged = ""
            except Exception as error:  # noqa: BLE001  # the network continues
                text = f"{type(error).__name__}: {error}"
                if text != logged:
                    _LOG.exception("no garbage was collected")
                logged = text

    async def _mine(self, null_rounds: int) -> None:
        await self._executors.chain.run(lambda: self.network.mine(null_rounds=null_rounds))

    def _render_metrics(self) -> bytes:
        from localnet.rpc.server.prometheus import NodeMetrics

        if self._metrics is None:
            self._metrics = NodeMetrics(self._node, self._executors, self._blocks)
        return self._metrics.render()

    def attach(self, console: NodeConsole) -> None:
        """Attach a console, which also prints calls and estimates, and works after the requests."""
        self._node.console = console
        console.background = self._executors.chain

    def stop(self) -> None:
        """Stop `run` from another thread."""
        self._server.stop()


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Reduce garbage collections inside the context, and exclude existing objects from them."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def serving(
    network: Network,
    port: int = 0,
    limits: NodeLimits | None = None,
    access: Access | None = None,
    pages: MakePages | None = None,
    addresses: AddressIndex | None = None,
) -> Iterator[str]:
    """Serve a network on a thread of this process; yield the URL. The server owns the network until the end."""
    server = Server(network, port, limits, access, pages=pages, addresses=addresses)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), name="json-rpc", daemon=True)
    thread.start()
    while not ready.wait(0.05):
        if not thread.is_alive():
            raise RuntimeError("the server ended before it was ready")
    try:
        yield server.url
    finally:
        server.stop()
        thread.join()


@contextlib.contextmanager
def ready_file(path: Path | None, url: str) -> Iterator[Callable[[], None]]:
    """Provide a function that writes the URL to a file atomically; remove the file at the end unless it was replaced.

    Raises InvalidInput if the file cannot be written, before the node is reported as ready.
    """
    if path is None:
        yield lambda: None
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.unlink(missing_ok=True)
        draft.write_text(f"{url}\n", encoding="ascii")
    except OSError as error:
        raise InvalidInput(f"the file {path} cannot be written: {error.strerror}") from None

    def write() -> None:
        draft.replace(path)

    try:
        yield write
    finally:
        draft.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if path.read_text(encoding="utf-8", errors="replace") == f"{url}\n":
                path.unlink()


class _Uvicorn(uvicorn.Server):
    """A uvicorn server that reports when it is ready, and shuts down cleanly on SIGINT and SIGTERM."""

    on_ready: Callable[[], None] = staticmethod(lambda: None)
    on_overdue: Callable[[], None] = staticmethod(lambda: None)
    is_busy: Callable[[], bool] = staticmethod(lambda: False)
    """Returns True while a change of the network is unfinished. Its client may have disconnected."""
    background: Callable[[], Coroutine[Any, Any, None]]
    _task: asyncio.Task[None] | None = None
    _wake: Callable[[], object] = staticmethod(lambda: None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the server does not run on the main thread, the only one that handles signals."""
        yield

    @contextlib.contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, which the main thread handles while it waits for the server."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            for listening in sockets or ():
                listening.listen(_BACKLOG)  # asyncio also uses its backlog as the number of accepts per turn
            self._task = asyncio.create_task(self.background())
            self.on_ready()

    async def main_loop(self) -> None:
        """Wait for the stop event without delay; uvicorn polls every 100 ms."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(ended.set)
        if not await self.on_tick(0):
            await ended.wait()
        self._wake = lambda: None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second SIGINT does not wait for running requests."""
        super().handle_exit(sig, frame)
        self._wake()

    def stop(self) -> None:
        """Stop the server. Thread-safe."""
        self.should_exit = True
        self._wake()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close listening sockets and idle connections; cancel requests that still run after `_LAST_GRACE` seconds."""
        if self._task is not None:
            self._task.cancel()
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        loop, state = asyncio.get_running_loop(), self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        overdue, end = loop.call_later(_GRACE, self.on_overdue), loop.time() + _LAST_GRACE
        try:
            while (state.connections or state.tasks or self.is_busy()) and not self.force_exit and loop.time() < end:
                await asyncio.sleep(_POLL_INTERVAL)
        finally:
            overdue.cancel()
        for task in state.tasks:
            task.cancel(msg="the node is stopping")


def is_external(host: str) -> bool:
    """Return True if a server at an address or host name is reachable from other machines."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _within_open_files(limits: NodeLimits) -> NodeLimits:
    """Return limits with no more clients than the process can open files for, minus those of the store and others."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    return replace(limits, clients=min(limits.clients, max(files - _OTHER_FILES, files // 2)))


def _bind(host: str, port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm, which would delay responses by 40 ms, only if the protocol is given.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        bound.close()
        text = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
            raise InvalidInput(f"--host {host} cannot be used: {text}; pass an address of this machine") from None
        raise InvalidInput(
            f"port {port} of {host} cannot be used: {text}; pass another --port, or 0 for a free one"
        ) from None
    bound.set_inheritable(True)
    return bound
