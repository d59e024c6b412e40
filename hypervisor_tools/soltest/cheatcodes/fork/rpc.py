"""Cheatcodes that query nodes: any RPC method, and logs.

`rpc` returns results as bytes: untyped values, converted as in JSON documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure, check_size
from hypervisor_tools.soltest.cheatcodes.fork.fork_states import active_fork, endpoint_of
from hypervisor_tools.soltest.cheatcodes.table import cheatcode
from hypervisor_tools.soltest.cheatcodes.text.documents import encode_inferred, infer_text
from localnet.errors import NodeError
from store.untrusted import parse_json


def rpc_bytes(response: Any) -> bytes:
    """Return bytes, hashes and addresses unchanged, other values ABI-encoded. Raises CheatcodeFailure."""
    if isinstance(response, float):
        raise CheatcodeFailure(f"failed to parse result: unsupported JSON number: {response}")
    if isinstance(response, str):
        kind, value = infer_text(response)
        if kind in ("bytes", "bytes32", "address"):
            check_size(len(value))
            return bytes(value)
    return encode_inferred(response)


_NO_FORK_URL: Final = "no active fork URL found"
_MAX_TOPICS: Final = 4
_MAX_LOGS: Final = 16 << 20
"""Maximum size of the response to `eth_getLogs` in bytes."""
_LOG: Final = "(address,bytes32[],bytes,bytes32,uint64,bytes32,uint64,uint256,bool)"


def _active_url(context: Context) -> str:
    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure(_NO_FORK_URL)
    context.note_input("nodes")
    return context.state.forks.forks[active].url


def _request(context: Context, url: str, method: str, params: str) -> Any:
    try:
        arguments = parse_json(params)
    except ValueError as error:
        raise CheatcodeFailure(f"the parameters are not JSON: {error}") from None
    if not isinstance(arguments, list):
        raise CheatcodeFailure("the parameters are not a JSON array")
    try:
        return context.cheats.remotes.chain(url).client.request(method, *arguments)
    except NodeError as error:
        text = (
            f"server returned an error response: error code {error.code}: {error.node_message}"
            if error.answered
            else error
        )
        raise CheatcodeFailure(f'"{method}": {text}') from None
    except InvalidInput as error:
        raise CheatcodeFailure(str(error)) from None


@cheatcode("rpc(string,string)", returns="bytes")
def _rpc(context: Context, method: str, params: str) -> bytes:
    return rpc_bytes(_request(context, _active_url(context), method, params))


@cheatcode("rpc(string,string,string)", returns="bytes")
def _rpc_of(context: Context, name: str, method: str, params: str) -> bytes:
    return rpc_bytes(_request(context, endpoint_of(context, name), method, params))


@cheatcode("rpcJson(string,string)", returns="string")
def _rpc_json(context: Context, method: str, params: str) -> str:
    return _json(_request(context, _active_url(context), method, params))


@cheatcode("rpcJson(string,string,string)", returns="string")
def _rpc_json_of(context: Context, name: str, method: str, params: str) -> str:
    return _json(_request(context, endpoint_of(context, name), method, params))


def _json(response: Any) -> str:
    return json.dumps(response, separators=(",", ":"), ensure_ascii=False)


@cheatcode("eth_getLogs(uint256,uint256,address,bytes32[])", returns=f"{_LOG}[]")
def _logs(context: Context, first: int, last: int, target: EthAddress, topics: Sequence[bytes]) -> list[Any]:
    if max(first, last) >= 1 << 64:
        raise CheatcodeFailure("blocks in block range must be less than 2^64")
    if len(topics) > _MAX_TOPICS:
        raise CheatcodeFailure("topics array must contain at most 4 elements")
    wanted = {
        "fromBlock": hex(first),
        "toBlock": hex(last),
        "address": f"0x{target.hex()}",
        "topics": [f"0x{topic.hex()}" for topic in topics],
    }
    chain = context.cheats.remotes.chain(_active_url(context))
    try:
        return chain.read(_read_logs, "eth_getLogs", wanted)
    except NodeError as error:
        raise CheatcodeFailure(f"failed to get logs: {error}") from None


def _read_logs(response: Any) -> list[Any]:
    from localnet.fork.response_values import bytes_of, quantity, word_of

    if not isinstance(response, list):
        raise TypeError("no list")
    size, found = 0, []
    for log in response:
        if not isinstance(log, Mapping) or not isinstance(log["topics"], list) or len(log["topics"]) > _MAX_TOPICS:
            raise TypeError("no log")
        data = bytes_of(log["data"], _MAX_LOGS)
        size += len(data) + 512
        check_size(size, "the logs", _MAX_LOGS)
        topics = [word_of(topic) for topic in log["topics"]]
        found.append((
            EthAddress(word_of(log["address"], 20)), topics, data, word_of(log["blockHash"]),
            quantity(log["blockNumber"]), word_of(log["transactionHash"]), quantity(log["transactionIndex"]),
            quantity(log["logIndex"]), log.get("removed") is True,
        ))  # fmt: skip
    return found
