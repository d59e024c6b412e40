"""Checks of `hypervisor doctor` on a node. Each sends a small request and verifies or reports the response."""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from hypervisor.machine.rules import PREFIX
from hypervisor.text import printable
from hypervisor_tools.cli.rpc_client import rpc_request
from localnet.chain.streams import describe_streams
from localnet.fork.node_client import NodeError
from store.cid import Cid, parse_cid, show
from store.codec import decode

_NAMES: Final = {314: "mainnet", 314159: "calibration", 31415926: "a development network"}
_RESOLVE_F01: Final = "0x610001600052602060206002601e73fe000000000000000000000000000000000000015afa3d600060003e3d6000fd"
"""Init code that resolves the address bytes 0x0001 (f01) with the precompile 0xfe..01, and reverts with the result.

Only contracts can call precompiles, so an `eth_call` runs this code.
"""
_MULTICALL3: Final = "0xca11bde05977b3631167028862be2a173976ca11"
_NOBODY: Final = "0x000000000000000000000000000000000000dead"
_START: Final = "start one with `hypervisor node`"


def node_checks(url: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the checks of a node as (name, check).

    Run each check before requesting the next. Stops after the first if it fails.
    """
    reached: list[str] = []

    def answers() -> str:
        before = time.perf_counter()
        reached.append(printable(str(rpc_request(url, "web3_clientVersion"))))
        return f"{reached[0]} in {(time.perf_counter() - before) * 1000:.0f} ms"

    yield "answers", answers
    if reached:
        for name, check in _CHECKS:
            yield name, partial(check, url)


def _chain(url: str) -> str:
    number = _number(rpc_request(url, "eth_chainId"))
    return f"{number} ({_NAMES[number]})" if number in _NAMES else str(number)


def _rules(url: str) -> str:
    try:
        name = rpc_request(url, "hypervisor_rules")
    except NodeError as error:
        if not error.answered:
            raise
        return "unknown: not a `hypervisor` node, so it has no labs"
    if not isinstance(name, str):
        return "hypervisor_rules did not return a name"
    name = printable(name)
    if not name.startswith(PREFIX):
        return f"{name}, no labs"
    return f"{name}: Filecoin's rules with the labs {', '.join(name.removeprefix(PREFIX).split(','))}"


def _newest(url: str) -> str:
    block = rpc_request(url, "eth_getBlockByNumber", "latest", False)
    age = int(time.time()) - _number(block["timestamp"])
    return (
        f"{_number(block['number'])}, {age} seconds ago" if age >= 0 else f"{_number(block['number'])}, in the future"
    )


def _accounts(url: str) -> str:
    count = len(rpc_request(url, "eth_accounts"))
    return f"signs for {count}" if count else "the node signs for no account: use --private-key to sign locally"


def _filecoin(url: str) -> str:
    try:
        name, number = (
            rpc_request(url, "Filecoin.StateNetworkName"),
            rpc_request(url, "Filecoin.StateNetworkVersion", None),
        )
    except NodeError as error:
        if not error.is_unknown_method:
            raise
        raise NodeError(f"no Filecoin methods ({error}): this is not a Filecoin node; {_START}") from None
    return f"{printable(str(name))}, network version {_number(number)}"


def _streams(url: str) -> str:
    """Return the streams of the block reward, read from the state of f02 of any Filecoin node."""
    head = rpc_request(url, "Filecoin.ChainHead")
    actor = rpc_request(url, "Filecoin.StateGetActor", "f02", head["Cids"])

    def read(cid: Cid) -> Any:
        return decode(b64decode(rpc_request(url, "Filecoin.ChainReadObj", {"/": show(cid)})))

    try:
        return describe_streams(read(parse_cid(actor["Head"]["/"])), read, _number(head["Height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError(f"the state of f02 cannot be read ({error}): is this a Filecoin node?") from None


def _precompiles(url: str) -> str:
    try:
        response = rpc_request(url, "eth_call", {"data": _RESOLVE_F01}, "latest")
    except NodeError as error:
        response = error.data
    if response != f"0x{1:064x}":
        raise NodeError(
            f"0xfe..01 did not resolve f01 ({response!r:.40}): the node has no Filecoin precompiles; {_START}"
        )
    return "0xfe..01 resolves f01"


def _multicall(url: str) -> str:
    if rpc_request(url, "eth_getCode", _MULTICALL3, "latest") == "0x":
        return "not deployed (`hypervisor node` deploys it unless --bare is given)"
    return f"at {_MULTICALL3}"


def _traces(url: str) -> str:
    request = {"from": _NOBODY, "to": _NOBODY}
    try:
        rpc_request(url, "debug_traceCall", request, "latest", {"tracer": "callTracer"})
    except NodeError:
        return "no debug_traceCall (`hypervisor node` supports it)"
    return "debug_traceCall"


def _number(value: Any) -> int:
    try:
        return int(value, 16) if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        raise NodeError(f"{value!r:.60} is not a number: is this a node?") from None


_CHECKS: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("chain id", _chain),
    ("rules", _rules),
    ("newest block", _newest),
    ("accounts", _accounts),
    ("Filecoin", _filecoin),
    ("reward streams", _streams),
    ("precompiles", _precompiles),
    ("Multicall3", _multicall),
    ("traces", _traces),
)
