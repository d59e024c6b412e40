"""Bodies of JSON-RPC requests: every one gets a response, and none reports an internal error."""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from bridge.ethereum.transactions import Transaction
from localnet import Network
from localnet.accounts import accounts
from localnet.rpc.dispatch import Dispatcher
from localnet.rpc.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node, NodeLimits
from tests.fuzz import trees
from tests.fuzz.target import MACHINE, Target

REQUESTS = 400
"""Number of requests before a network is replaced, since it keeps all its blocks."""
CHAIN = 31_415_926
UNREAD = (PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS)


def run(data: bytes) -> bool:
    _asked[0] += 1
    if _asked[0] % REQUESTS == 0:
        _dispatcher().node.network.close()
        _dispatcher.cache_clear()
    answer = asyncio.run(_dispatcher().dispatcher.dispatch(data))
    if not answer:
        return True  # notifications
    response = json.loads(answer)
    answers = response if isinstance(response, list) else [response]
    return max(map(_is_answered, answers))  # every one is looked at


def _is_answered(response: dict[str, Any]) -> bool:
    """Return True if a method was executed."""
    assert response["jsonrpc"] == "2.0"
    assert ("error" in response) != ("result" in response)
    code = response.get("error", {}).get("code")
    assert code != INTERNAL_ERROR, response
    return code not in UNREAD


class _Served:
    """A network with its dispatcher."""

    def __init__(self) -> None:
        limits = NodeLimits(body=1 << 16, batch=8, response=1 << 20, log_span=50, logs=100, mined=20)
        self.node = Node(Network(), limits)
        self.dispatcher = Dispatcher(self.node, _at_once)


async def _at_once(work: Callable[[], Any]) -> Any:
    return work()


_asked = [0]


@cache
def _dispatcher() -> _Served:
    return _Served()


# --- requests -------------------------------------------------------------------------------------------------------


@cache
def _values() -> list[Any]:
    own, other = ("0x" + account.address.hex() for account in accounts()[:2])
    call = {"from": own, "to": other, "value": "0x1", "data": "0x", "gas": "0x5f5e100"}
    created = {"from": own, "data": "0x600a600c600039600a6000f3602a60005260206000f3"}
    logs = {"fromBlock": "0x0", "toBlock": "latest", "address": own, "topics": [None, ["0x" + "00" * 32]]}
    return [
        own,
        other,
        call,
        created,
        logs,
        "latest",
        "pending",
        "earliest",
        "safe",
        "0x0",
        "0x1",
        "0x2",
        "0x" + "ff" * 32,
        "0x" + "00" * 32,
        True,
        False,
        None,
        1,
        5,
        "0x",
        "0xdeadbeef",
        [],
        [25.0, 75.0],
        {"blockNumber": "0x1"},
        {"tracer": "callTracer"},
        {},
        {"type": "0x2", **call, "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x1"},
        ["trace"],
        "f01000",
        "f00",
    ]


def _request(rng: Random) -> dict[str, Any]:
    name, method = rng.choice(sorted(method_table().items()))
    params = [_fitting(at, rng) for at in method.parameters][: rng.choice((9, 9, 9, 1, 2))]
    if params and rng.random() < 0.3:
        at = rng.randrange(len(params))
        params[at] = trees.mutated(params[at], rng)
    return {"jsonrpc": "2.0", "id": 1, "method": name, "params": params}


def _fitting(parameter: str, rng: Random) -> Any:
    """Return a value of the kind that a parameter's name suggests, or any other."""
    own, other, call, created, logs = _values()[:5]
    blocks = ("latest", "latest", "0x0", "0x1", "pending", "earliest")
    transactions = (call, created, logs)
    kinds: dict[str, tuple[Any, ...]] = {
        "filter": ("0x1", "0x2"),
        "block_hash": ("0x" + "11" * 32,),
        "hash": ("0x" + "11" * 32,),
        "raw": _raw(),
        "owner": (own, other),
        "address": (own, other),
        "request": transactions,
        "transaction": transactions,
        "number": blocks,
        "newest": blocks,
        "ref": blocks,
        "at": blocks,
        "block": blocks,
        "content": ("0x", "0xdeadbeef"),
        "data": ("0x", "0xdeadbeef"),
        "slot": ("0x0", "0x1"),
        "count": ("0x1", "0x2"),
        "index": ("0x0",),
        "full": (True, False),
        "seconds": (1, 5),
        "timestamp": (2_000_000_000,),
        "percentiles": ([1.0, 50.0], None),
        "amount": ("0x1", "0xde0b6b3a7640000"),
        "options": ({"tracer": "callTracer"}, {}, None),
    }
    found = next((values for word, values in kinds.items() if word in parameter), ())
    return rng.choice(found) if found and rng.random() < 0.85 else rng.choice(_values())


@cache
def _raw() -> tuple[str, ...]:
    """Return signed transactions; the first of each kind is valid on a new network."""
    sender, receiver = accounts()[:2]
    made = (
        Transaction(kind, CHAIN, nonce, receiver.address, 1, b"", 100_000_000, 10**9, 10**9 if kind == 0 else 1)
        for kind in (0, 2)
        for nonce in (0, 1, 2)
    )
    return tuple("0x" + sender.sign(transaction).raw().hex() for transaction in made)


def seeds() -> Iterator[bytes]:
    for name in sorted(method_table()):
        yield _encoded({"jsonrpc": "2.0", "id": 1, "method": name, "params": []})
    rng = Random(2)
    yield _encoded([_request(rng), _request(rng)])
    yield b"{"


def mutate(data: bytes, rng: Random) -> bytes:
    """Return a new request, sometimes a batch, sometimes malformed."""
    request = _request(rng)
    match rng.randrange(20):
        case 0:
            return _encoded([request, _request(rng), rng.choice(_values())])
        case 1:
            return _encoded(trees.mutated(request, rng))
        case 2:
            del request["id"]
            return _encoded(request)
        case _:
            return _encoded(request)


def _encoded(value: Any) -> bytes:
    return json.dumps(value, default=repr).encode()


TARGET = Target(run, seeds, mutate, share=4, longest=2000, memory=MACHINE)
