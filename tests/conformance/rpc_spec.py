"""Ethereum's execution-apis: schemas, request files, and the chains that they describe.

- Schemas and request files of Ethereum's execution-apis, from the test data.
- A chain with the height and age of the request files' chain, and a mapping from its hashes to ours.
- The reference chain of the execution-apis' request files, executed by a network under Ethereum's rules.

The schemas are those of the YAML sources, whose references all point to `#/components/schemas`. A request file contains
lines of `>>` requests and `<<` responses of a reference client; `speconly` in its comment means that only the schema of
the response is compared.

The genesis is written into the state. The signed transactions are sent block by block, at the blocks' times and base
fees. Differences from the reference:

- Blocks have other hashes (tipsets).
- Forks before Cancun are missing; their gas is that of the newest fork.
- Blob transactions are omitted, since the file has no sidecars; their senders' nonces still increase.
- The gas limit is 30 million, so the second block's transactions fill several blocks.
- Miners get no reward.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema import Draft202012Validator

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import parse_transaction
from localnet import Network
from localnet.rpc.node import Node
from tests.conftest import data_file
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, calldata, deploy, greet
from tests.localnet.rpc.conftest import Client

_FOLDERS = ("eth", "debug", "txpool")


@dataclass(frozen=True)
class Exchange:
    """A request and the response of the reference client."""

    name: str
    request: dict[str, Any]
    response: dict[str, Any]
    schema_only: bool


def folder() -> Path:
    """Return the folder of the execution-apis. Skips the test without the test data."""
    return data_file("vectors/execution-apis")


@cache
def _methods() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for part in (*_FOLDERS, "testing"):
        for path in sorted((folder() / "src" / part).glob("*.yaml")):
            found.update((method["name"], method) for method in yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


@cache
def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((folder() / "src" / "schemas").glob("*.yaml")):
        found.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found


def method_names() -> list[str]:
    """Return every method that the execution-apis list."""
    return sorted(_methods())


@cache
def result_validator(method: str) -> Draft202012Validator:
    schema = _methods()[method]["result"]["schema"]
    return Draft202012Validator({**schema, "components": {"schemas": _schemas()}})


def schema_violations(method: str, result: Any) -> list[str]:
    """Return the violations of a result's schema: paths and messages."""
    errors = result_validator(method).iter_errors(result)
    return sorted(f"{error.json_path}: {error.message[:200]}" for error in errors)


def exchanges() -> list[Exchange]:
    """Return all requests of all files with the file's name; several in a file are numbered."""
    found = []
    for path in sorted((folder() / "tests").glob("*/*.io")):
        lines = path.read_text(encoding="utf-8").splitlines()
        schema_only = any("speconly" in line for line in lines if line.startswith("//"))
        requests = [json.loads(line[2:]) for line in lines if line.startswith(">>")]
        responses = [json.loads(line[2:]) for line in lines if line.startswith("<<")]
        for number, (request, response) in enumerate(zip(requests, responses, strict=True)):
            name = f"{path.parent.name}/{path.stem}" + (f"#{number}" if number else "")
            found.append(Exchange(name, request, response, schema_only))
    return found


HEAD: Final = 0x36
"""The height of the reference chain's head."""

BLOCK_TIME: Final = 10
"""Seconds between its blocks; the first block has time 0."""

_TRANSACTIONS: Final = ("eth_getTransactionByHash", "eth_getTransactionReceipt", "debug_traceTransaction")
_ABSENT: Final = ("notfound", "not-found", "unknown", "nonexistent", "empty-tx")


@dataclass
class ChainContents:
    """The chain and its contents: transaction hashes by type, a block with a transaction, a contract."""

    rpc: Client
    by_type: dict[str, str]
    block: str
    contract: str

    def own(self, exchange: Exchange) -> dict[str, Any]:
        """Replace the reference chain's hashes in a request by this chain's."""
        request = exchange.request
        method, params = request["method"], list(request.get("params", []))
        result = exchange.response.get("result")
        if any(word in exchange.name for word in _ABSENT) or result is None or not params:
            return request
        if method in _TRANSACTIONS or method == "debug_getRawTransaction":
            kind = result.get("type", "0x2") if isinstance(result, dict) else "0x2"
            params[0] = self.by_type.get(kind, params[0])
        else:
            params = [self._block(param) for param in params]
        return {**request, "params": params}

    def _block(self, param: Any) -> Any:
        if isinstance(param, str) and len(param) == 66:
            return self.block
        if isinstance(param, dict) and "blockHash" in param:
            return {**param, "blockHash": self.block}
        return param


@contextmanager
def make_chain() -> Iterator[ChainContents]:
    """Make a chain with transactions of each kind, logs and a failure, up to the reference chain's height."""
    height = 0
    with Network(clock=lambda: float(BLOCK_TIME * height)) as network:
        rpc = Client(Node(network))

        def next_time() -> None:
            nonlocal height
            height = network.block_number + 1

        next_time()
        contract = deploy(rpc, INBOX)
        by_type = {}
        for kind, fields in {"0x0": {"gasPrice": "0x30000"}, "0x1": {"gasPrice": "0x30000", "type": "0x1"}}.items():
            next_time()
            by_type[kind] = rpc("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x5", **fields})
        next_time()
        failing = {"from": ALICE, "to": contract, "data": calldata(INBOX, "refuse", "no"), "gas": "0x1000000"}
        rpc("eth_sendTransaction", failing)
        next_time()
        by_type["0x2"] = greet(rpc, contract)
        block = rpc("eth_getTransactionByHash", by_type["0x2"])["blockHash"]
        while network.block_number < HEAD:
            next_time()
            network.mine()
        yield ChainContents(rpc, by_type, block, contract)


_BLOB = 3
_NUMBER, _TIME, _BASE_FEE = 8, 11, 15


@contextmanager
def replayed() -> Iterator[Client]:
    """Execute the reference chain's transactions; return a client."""
    genesis = json.loads((folder() / "tests/genesis.json").read_text(encoding="utf-8"))
    time = 0.0
    chain_id = genesis["config"]["chainId"]
    with Network(rules="ethereum", chain_id=chain_id, bare=True, clock=lambda: time) as network:
        _begin(network, genesis["alloc"])
        network.automine = False
        for header, transactions in _blocks():
            time = float(_number(header[_TIME]))
            network.set_next_base_fee(_number(header[_BASE_FEE]) if len(header) > _BASE_FEE else 0)
            for raw in transactions:
                if raw[0] != _BLOB:
                    network.submit(raw)
            assert network.mine().height == _number(header[_NUMBER])
            for blob in [parse_transaction(raw) for raw in transactions if raw[0] == _BLOB]:
                network.set_nonce(f"0x{blob.sender().hex()}", blob.transaction.nonce + 1)
        network.automine = True
        yield Client(Node(network))


def _begin(network: Network, alloc: dict[str, dict[str, Any]]) -> None:
    for name, account in alloc.items():
        address = EthAddress(bytes.fromhex(name))
        storage = {int(slot, 16): int(word, 16) for slot, word in account.get("storage", {}).items()}
        code = bytes.fromhex(account.get("code", "0x")[2:])
        if code or storage:
            network.set_code(address, code)
            network.set_storage(address, storage)
        network.set_balance(address, int(account["balance"], 16))


def _blocks() -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield header and transactions of each block; the file is a sequence of RLP lists."""
    data, at = (folder() / "tests/chain.rlp").read_bytes(), 0
    while at < len(data):
        width = data[at] - 0xF7
        size = int.from_bytes(data[at + 1 : at + 1 + width], "big") + 1 + width
        header, transactions = rlp.read_list(rlp.decode(data[at : at + size]))[:2]
        fields = [item if isinstance(item, bytes) else b"" for item in rlp.read_list(header)]
        yield fields, [item if isinstance(item, bytes) else rlp.encode(item) for item in rlp.read_list(transactions)]
        at += size


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
