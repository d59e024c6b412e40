"""Length of the code path of a request, counted instead of timed: `python -m bench.hops [--json] [--top N] [PATH...]`.

It counts Python calls in our packages, their source files, changes between files and changes between threads, for
standard requests and messages from their bytes to the store, without transport (HTTP, sockets). A generator counts each
time it resumes. Initializers and hashes of dataclasses are not counted, whether generated or written out. Each
comprehension counts; Python 3.12 and later inline them, so the limits of hops.toml apply to 3.11 and other versions
only print.

hops.toml has two numbers of calls for a path: `limit` is the current limit, `goal` the target. Exits with 1 if a path
exceeds its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final
from unittest.mock import patch

from rich.console import Console
from rich.table import Table
from wasmtime import wat2wasm

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor import Address, Hypervisor, Message, threads
from hypervisor.state.state_tree import ActorState
from hypervisor.types import SYSTEM_ACTOR, ActorID, Gas, MethodNumber, TokenAmount
from localnet import Network
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Change, Dispatcher
from localnet.rpc.server.executors import Executors
from store.cid import RAW, cid_of

PROJECT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("hypervisor", "runtimes", "bridge", "store", "localnet")
LIMITS: Final = Path(__file__).parent / "hops.toml"
JUDGE: Final = (3, 11)
"""The Python version whose counts are compared with the limits."""

EPOCH_WORK: Final = "end_block"
"""The function that runs reward and cron after a tipset's messages; its calls are counted separately."""
_NO_TIMEOUT: Final = 3_600.0
"""Time limit in seconds of queries and of short executions, which must not end while calls are counted."""
_FEE: Final = TokenAmount(2 * 10**9)
_GAS: Final = Gas(10_000_000)
_MANY: Final = 50
"""Number of operations of one kind in a message, from which the cost of one is derived."""

# PUSH0 CALLDATALOAD PUSH0 SSTORE STOP; and STOP
STORES: Final = bytes.fromhex("5f355f5500")
EMPTY: Final = b"\x00"


@dataclass(slots=True)
class CallPath:
    """The counts of a path. `epoch_work` is the number of calls of reward and cron, included in `calls`."""

    calls: int = 0
    functions: int = 0
    files: int = 0
    changes: int = 0
    switches: int = 0
    epoch_work: int = 0
    most: Counter[str] = field(default_factory=Counter)
    """Number of calls by function."""

    @property
    def own(self) -> int:
        """The calls without those of reward and cron."""
        return self.calls - self.epoch_work


class CallCounter:
    """Counts calls during `count` on every thread that starts inside `watching`."""

    def __init__(self) -> None:
        self._inside = tuple(f"{PROJECT / package}/" for package in PACKAGES)
        self._own: dict[CodeType, bool] = {}
        self._seen: list[tuple[CodeType, int, bool]] | None = None
        self._depth = 0

    @contextmanager
    def watching(self) -> Iterator[CallCounter]:
        """Enable counting on this thread and on threads started meanwhile."""
        plain = threads._run_jobs

        def live(jobs: Any) -> None:
            sys.setprofile(self._event)
            plain(jobs)

        threads._run_jobs = live  # its threads are started without `threading`
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        try:
            yield self
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
            threads._run_jobs = plain

    def count(self, action: Callable[[], object]) -> CallPath:
        """Return the counts of an action, without finalizers of other objects."""
        gc.collect()
        gc.disable()
        self._seen, self._depth = [], 0
        try:
            action()
        finally:
            seen, self._seen = self._seen, None
            gc.enable()
        return _path(seen)

    def _event(self, frame: FrameType, event: str, _: Any) -> None:
        if self._seen is None or (event != "call" and event != "return"):
            return
        code = frame.f_code
        own = self._own.get(code)
        if own is None:
            own = self._own[code] = code.co_filename.startswith(self._inside) and not _is_dataclass_method(frame)
        if not own:
            return
        if code.co_name == EPOCH_WORK:
            self._depth += 1 if event == "call" else -1
        if event == "call":
            self._seen.append((code, threading.get_ident(), self._depth > 0))


def _is_dataclass_method(frame: FrameType) -> bool:
    return frame.f_code.co_name in ("__init__", "__hash__") and is_dataclass(frame.f_locals.get("self"))


def _path(seen: list[tuple[CodeType, int, bool]]) -> CallPath:
    path = CallPath(calls=len(seen), epoch_work=sum(inside for *_, inside in seen))
    path.functions = len({code for code, *_ in seen})
    path.files = len({code.co_filename for code, *_ in seen})
    for (code, thread, _), (following, other, _) in pairwise(seen):
        path.changes += code.co_filename != following.co_filename
        path.switches += thread != other
    for code, _, inside in seen:
        if not inside:
            path.most[f"{Path(code.co_filename).relative_to(PROJECT)}:{code.co_firstlineno} {code.co_qualname}"] += 1
    return path


# --- paths ------------------------------------------------------------------------------------------------------------


def paths() -> dict[str, CallPath]:
    """Return each standard path by its name in hops.toml, on a thread with a large stack like a server's."""
    return threads.Stacks().on_one_thread(lambda: dict(_paths()))


def _paths() -> Iterator[tuple[str, CallPath]]:
    with CallCounter().watching() as counting:
        for rules in ("filecoin", "ethereum"):
            yield from _requests(counting, rules)
        yield "a native message", _native_message(counting)
        yield "a WASM syscall", _syscall(counting)


def _requests(counting: CallCounter, rules: str) -> Iterator[tuple[str, CallPath]]:
    """Yield a transaction with one SSTORE, a call of an empty function, a balance, and one SSTORE among many."""
    with Network(rules=rules) as network, patch.object(threads, "SECONDS", _NO_TIMEOUT):
        executors = Executors(Node(network, NodeLimits(query=_NO_TIMEOUT)))
        try:
            dispatcher = executors.dispatcher
            yield f"eth_sendRawTransaction, {rules}", _transaction(counting, network, dispatcher)
            yield f"eth_call, {rules}", _call(counting, network, dispatcher)
            yield f"eth_getBalance, {rules}", _balance(counting, network, dispatcher)
            yield f"an SSTORE, {rules}", _store(counting, network, dispatcher)
        finally:
            executors.stop()


def _transaction(counting: CallCounter, network: Network, dispatcher: Dispatcher) -> CallPath:
    contract = _deploy(network, STORES)
    requests = [_raw(network, contract, bytes(31) + bytes([number])) for number in range(1, 5)]
    for request in requests[:-1]:  # fills the caches
        _respond(dispatcher, request())
    last = requests[-1]()
    return counting.count(lambda: _respond(dispatcher, last))


def _call(counting: CallCounter, network: Network, dispatcher: Dispatcher) -> CallPath:
    to = f"0x{_deploy(network, EMPTY).hex()}"
    request = _request("eth_call", [{"to": to, "data": "0x12345678"}, "latest"])
    for _ in range(3):
        _respond(dispatcher, request)
    return counting.count(lambda: _respond(dispatcher, request))


def _balance(counting: CallCounter, network: Network, dispatcher: Dispatcher) -> CallPath:
    request = _request("eth_getBalance", [f"0x{network.accounts[1].address.hex()}", "latest"])
    for _ in range(3):
        _respond(dispatcher, request)
    return counting.count(lambda: _respond(dispatcher, request))


def _store(counting: CallCounter, network: Network, dispatcher: Dispatcher) -> CallPath:
    """Return the cost of one of many, compared with a message with one."""
    found = []
    for stores in (1, 1 + _MANY):
        contract = _deploy(network, b"".join(bytes([0x5F, 0x35, 0x60, slot, 0x55]) for slot in range(stores)) + EMPTY)
        for value in (1, 2, 3):
            last = _raw(network, contract, bytes(31) + bytes([value]))()
            path = counting.count(partial(_respond, dispatcher, last))
        found.append(path)
    return _of_one(*found)


def _native_message(counting: CallCounter) -> CallPath:
    """Return an empty message from one account to another, applied and flushed."""
    with Network() as network:
        machine, (sender, receiver) = network.machine, network.accounts[:2]
        for nonce in range(4):
            message = Message(receiver.native, sender.native, nonce, gas_limit=_GAS, gas_fee_cap=_FEE)
            signed = sender.sign_native(message)

            def through(signed: Any = signed) -> None:
                result = machine.apply(signed)
                if result.exit_code:
                    raise RuntimeError(f"the message exited with {result.exit_code}: {result.message}")
                machine.flush()

            path = counting.count(through)
        return path


def _syscall(counting: CallCounter) -> CallPath:
    """Return one call of gas.available among many."""
    with Hypervisor.open() as machine:
        return _of_one(*(_guest_run(counting, machine, calls) for calls in (1, 1 + _MANY)))


def _guest_run(counting: CallCounter, machine: Hypervisor, calls: int) -> CallPath:
    module = bytes(wat2wasm(_GUEST.format(calls=calls)))
    code = cid_of(module, RAW)
    machine.store.put(code, module)
    guest = ActorID(machine.state_tree.init_state().next_id + calls)
    machine.state_tree.set_actor(guest, ActorState(code))
    message = Message(Address.id(guest), Address.id(SYSTEM_ACTOR), method=MethodNumber(2), gas_limit=Gas(10**10))
    for _ in range(3):
        path = counting.count(lambda: _apply(machine, message))
    return path


def _apply(machine: Hypervisor, message: Message) -> None:
    result = machine.apply_implicit(message)
    if result.exit_code:
        raise RuntimeError(f"the guest exited with {result.exit_code}: {result.message}")


_GUEST: Final = """(module (import "gas" "available" (func $available (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "invoke") (param i32) (result i32) (local i32)
    (local.set 1 (i32.const {calls}))
    (loop $again
      (if (call $available (i32.const 512)) (then (unreachable)))
      (br_if $again (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
    (i32.const 0)))"""


def _of_one(one: CallPath, many: CallPath) -> CallPath:
    """Return the cost of one operation, rounded up."""
    each = CallPath(calls=-(-(many.calls - one.calls) // _MANY), changes=-(-(many.changes - one.changes) // _MANY))
    each.switches = -(-(many.switches - one.switches) // _MANY)
    each.most = Counter({name: count // _MANY for name, count in (many.most - one.most).items()})
    each.functions = sum(1 for count in each.most.values() if count)
    each.files = len({name.split(":")[0] for name, count in each.most.items() if count})
    return each


def _deploy(network: Network, runtime: bytes) -> bytes:
    """Return the address of a contract with this code."""
    size = len(runtime)
    creates = bytes([0x61, *size.to_bytes(2, "big"), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3]) + runtime
    address = network.send(None, 0, creates).contract_address
    if address is None:
        raise RuntimeError("the contract was not created")
    return bytes(address)


def _raw(network: Network, to: bytes, data: bytes) -> Callable[[], bytes]:
    """Return a function that creates the request for the first account's next transaction."""
    sender = network.accounts[0]

    def request() -> bytes:
        nonce = network.nonce(sender)
        transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, EthAddress(to), 0, data, _GAS, _FEE, 10**5)
        return _request("eth_sendRawTransaction", [f"0x{sender.sign(transaction).raw().hex()}"])

    return request


def _request(method: str, params: list[Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


@cache
def _loop() -> asyncio.Runner:
    """Return the event loop of all requests, as a server has one."""
    return asyncio.Runner()


def _respond(dispatcher: Dispatcher, body: bytes) -> None:
    """Respond like the server: immediately if possible, else on the network's thread."""
    found = dispatcher.respond(body)
    answer = found if isinstance(found, bytes) else _loop().run(_result(found) if isinstance(found, Change) else found)
    if "result" not in json.loads(answer):
        raise RuntimeError(answer.decode())


async def _result(change: Change) -> bytes:
    """Return the response of a change."""
    response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    change.start(response.set_result)
    return await response


# --- the report -------------------------------------------------------------------------------------------------------


def limits() -> dict[str, dict[str, int]]:
    """Return the limits of each path, by its name."""
    with LIMITS.open("rb") as file:
        return {row.pop("path"): row for row in tomllib.load(file)["hops"]}


def is_longer(path: CallPath, row: dict[str, int]) -> bool:
    """Return True if a path exceeds its row of hops.toml."""
    epoch_work = row.get("epoch_work", path.epoch_work)
    return path.own > row["limit"] or path.switches > row["switches"] or path.epoch_work > epoch_work


def main() -> int:
    """Return the process's exit code."""
    options = argparse.ArgumentParser(prog="hops", description=__doc__)
    options.add_argument("--json", action="store_true", help="print one JSON object per path")
    options.add_argument("--top", type=int, default=0, metavar="N", help="print the N most called functions")
    options.add_argument("paths", nargs="*", metavar="PATH", help="words of the paths to print; default: all")
    chosen = options.parse_args()
    wanted, missed = limits(), False
    table = Table("path", "calls", "limit", "goal", "functions", "files", "file changes", "switches", "reward, cron")
    for name, path in paths().items():
        if not all(word in name for word in chosen.paths):
            continue
        row = wanted[name]
        missed = missed or is_longer(path, row)
        numbers = (
            path.own,
            row["limit"],
            row["goal"],
            path.functions,
            path.files,
            path.changes,
            path.switches,
            path.epoch_work,
        )
        table.add_row(name, *map(str, numbers))
        if chosen.json:
            print(
                json.dumps({"path": name, "calls": path.own, "switches": path.switches, "epoch_work": path.epoch_work})
            )
        for function, count in path.most.most_common(chosen.top):
            print(f"{count:6}  {function}")
    if not chosen.json:
        Console(width=140).print(table)
    return int(missed and sys.version_info[:2] == JUDGE)


if __name__ == "__main__":
    sys.exit(main())
