"""The request files of Ethereum's execution-apis, and their chain, executed by a network under Ethereum's rules.

A request file contains lines of `>>` requests and `<<` responses of a reference client; `speconly` in its comment means
that only the shape of the response is compared.

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
from pathlib import Path
from typing import Any

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import parse_transaction
from localnet import Network
from localnet.rpc.node import Node
from tests.conftest import data_file
from tests.localnet.rpc.conftest import Client


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
