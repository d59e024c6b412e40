"""The two nodes: ours in this process, and geth as a program, with the same chain.

geth's genesis is made from ours; it also needs the system contracts of EIP-4788, EIP-7002 and EIP-7251. Blocks get the
same times, randomness, beneficiary and transactions, so gas, fees and balances are equal. geth makes them with
`testing_commitBlockV1`; the genesis is its safe and final block, as it is here for chains of less than 30 blocks. The
times are in the future, so that geth's pending block follows the head by a second instead of the clock.
"""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

from hypervisor.installation import user_folder
from localnet import Network
from localnet.rpc.node import Node
from tests.judges.scripts import CHAIN_ID, FOLDER, Block, blocks, chain_file
from tests.localnet.rpc.conftest import Client

_GO_MODULE: Final = FOLDER.parent / "oracle" / "geth" / "go.mod"
VERSION: Final = re.findall(r"go-ethereum v([0-9.]+)", _GO_MODULE.read_text(encoding="utf-8"))[0]
"""Version of geth, which `make geth` uses too."""
_GAS_CAP: Final = 30_000_000
"""Gas limit of blocks and of geth's calls; ours follows the block's."""
_BASE_FEE: Final = 1_142_857_142
"""Base fee of geth's genesis with which that of block 1 is one gwei, as in ours."""
_FORKS: Final = (
    "homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "muirGlacier",
    "berlin", "london", "arrowGlacier", "grayGlacier", "mergeNetsplit",
)  # fmt: skip
_BLOBS: Final = {"cancun": (3, 6, 3338477), "prague": (6, 9, 5007716), "osaka": (6, 9, 5007716)}
_PENDING_SECONDS: Final = 2.2
"""Time after which geth builds its pending block again."""


class NoJudge(Exception):
    """Raised if geth cannot be run here; the message names what is missing."""


class JudgedNode(Protocol):
    """A node that answers requests and makes blocks."""

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        """Return the response to a request: its `result` or its `error`."""

    def mine(self, block: Block | None) -> None:
        """Make a block, or one of the pool's transactions after the head's time."""


def hashes(node: JudgedNode) -> list[str]:
    """Return the hashes of the chain's blocks."""
    head = int(node.ask("eth_blockNumber", [])["result"], 16)
    return [node.ask("eth_getBlockByNumber", [hex(height), False])["result"]["hash"] for height in range(head + 1)]


class OurNode:
    """This project's node under Ethereum's rules, in this process."""

    def __init__(self) -> None:
        start = chain_file()["start"]
        self.network = Network(rules="ethereum", hardfork="osaka", chain_id=CHAIN_ID, clock=lambda: float(start))
        self.node = Node(self.network)
        self._dispatcher = Client(self.node).dispatcher
        self._loop = asyncio.Runner()
        self.genesis = _genesis(self)
        self.ask("anvil_setCoinbase", [chain_file()["beneficiary"]])
        self.ask("evm_setAutomine", [False])

    def __enter__(self) -> "OurNode":
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()
        self.node.close()
        self.network.close()

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        response = json.loads(self._loop.run(self._dispatcher.dispatch(json.dumps(body).encode())))
        return {name: response[name] for name in ("result", "error") if name in response}

    def mine(self, block: Block | None) -> None:
        block = block or _next_block(self)
        self.ask("evm_setNextBlockTimestamp", [hex(block.timestamp)])
        self.ask("anvil_setNextBlockPrevRandao", [block.randomness])
        for raw in block.transactions:
            if "error" in (response := self.ask("eth_sendRawTransaction", [raw])):
                raise ValueError(f"our node refuses a transaction of chain.json: {response['error']}")
        self.ask("evm_mine", [])


class Geth:
    """geth on the chain that begins with a genesis, in a folder that is removed at the end."""

    def __init__(self, program: Path, genesis: dict[str, Any]) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(TemporaryDirectory()))
        self._secret = hashlib.sha256(b"judges").digest()
        ports = [str(port) for port in _free_ports()]
        self._url, self._engine = (f"http://127.0.0.1:{port}" for port in ports)
        (folder / "genesis.json").write_text(json.dumps(genesis), encoding="utf-8")
        (folder / "secret").write_text(self._secret.hex(), encoding="utf-8")
        data = ["--datadir", str(folder / "data"), "--state.scheme", "hash"]
        self._log = self._stack.enter_context((folder / "log").open("w+"))
        made = subprocess.run([program, "init", *data, str(folder / "genesis.json")], stderr=self._log, check=False)
        command = [
            str(program), *data, "--gcmode", "archive", "--syncmode", "full", "--networkid", str(CHAIN_ID),
            "--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--http", "--http.port", ports[0],
            "--http.api", "eth,debug,txpool,net,web3,testing", "--authrpc.port", ports[1],
            "--authrpc.jwtsecret", str(folder / "secret"), "--miner.pending.feeRecipient", chain_file()["beneficiary"],
            "--miner.gasprice", "1", "--miner.gaslimit", str(_GAS_CAP), "--rpc.gascap", str(_GAS_CAP),
            "--rpc.allow-unprotected-txs", "--txpool.pricelimit", "1", "--gpo.ignoreprice", "1",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stderr=self._log)
        self._stack.callback(self._end)
        self._pool_changed = False
        for _ in range(300):
            if made.returncode or self._process.poll() is not None:
                break
            try:
                self.ask("eth_chainId", [])
            except OSError:
                time.sleep(0.1)
            else:
                return
        self._log.seek(0)
        text = self._log.read()[-1000:]
        self._stack.close()
        raise NoJudge(f"geth does not start:\n{text}")

    def __enter__(self) -> "Geth":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        if self._pool_changed and method != "eth_sendRawTransaction":
            time.sleep(_PENDING_SECONDS)
            self._pool_changed = False
        response = self._post(self._url, method, params, {})
        self._pool_changed |= method == "eth_sendRawTransaction" and "result" in response
        return response

    def mine(self, block: Block | None) -> None:
        chosen, transactions = (block, block.transactions) if block else (_next_block(self), None)
        attributes = {
            "timestamp": hex(chosen.timestamp),
            "prevRandao": chosen.randomness,
            "suggestedFeeRecipient": chain_file()["beneficiary"],
            "withdrawals": [],
            "parentBeaconBlockRoot": "0x" + bytes(32).hex(),
        }
        made = self.ask("testing_commitBlockV1", [attributes, transactions, "0x"])
        first = self.ask("eth_getBlockByNumber", ["0x0", False])["result"]["hash"]
        choice = {"headBlockHash": made["result"], "safeBlockHash": first, "finalizedBlockHash": first}
        ended = self._post(self._engine, "engine_forkchoiceUpdatedV3", [choice, None], self._token())
        assert ended["result"]["payloadStatus"]["status"] == "VALID", ended
        self._pool_changed = block is None

    def _post(self, url: str, method: str, params: list[Any], headers: dict[str, str]) -> dict[str, Any]:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            with urlopen(HttpRequest(url, body, {"content-type": "application/json", **headers}), timeout=60) as reply:
                response = json.loads(reply.read())
        except HTTPError as error:  # geth's status for some errors, with the response as usual
            response = json.loads(error.read())
        return {name: response[name] for name in ("result", "error") if name in response}

    def _token(self) -> dict[str, str]:
        """Return the header of the engine API: a JSON Web Token with the time, signed with the shared secret."""
        parts = [{"alg": "HS256", "typ": "JWT"}, {"iat": int(time.time())}]
        text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        signature = base64.urlsafe_b64encode(hmac.digest(self._secret, text, "sha256")).rstrip(b"=")
        return {"authorization": f"Bearer {(text + b'.' + signature).decode()}"}

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(30)


def geth_program() -> Path:
    """Return geth, built with `go install` and kept in the cache folder. Raises NoJudge if it cannot be built."""
    program = user_folder("cache") / "judges" / f"geth-{VERSION}" / "geth"
    if program.is_file():
        return program
    go = shutil.which("go")
    if go is None:
        raise NoJudge("go was not found: install Go 1.25 or later")
    print(f"building geth {VERSION}, once; this takes some minutes", file=sys.stderr, flush=True)
    command = [go, "install", "-ldflags", "-s -w", f"github.com/ethereum/go-ethereum/cmd/geth@v{VERSION}"]
    if subprocess.run(command, env={**os.environ, "GOBIN": str(program.parent)}, check=False).returncode:
        raise NoJudge(f"geth {VERSION} cannot be built: Go's errors are above")
    return program


def make_chain(node: JudgedNode) -> None:
    """Make the blocks of chain.json."""
    for block in blocks():
        node.mine(block)


def _free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (first, second)]


def _next_block(node: JudgedNode) -> Block:
    head = node.ask("eth_getBlockByNumber", ["latest", False])["result"]
    number, timestamp = int(head["number"], 16) + 1, int(head["timestamp"], 16) + chain_file()["interval"]
    return Block(timestamp, "0x" + hashlib.sha256(f"block {number}".encode()).hexdigest(), [])


def _genesis(ours: OurNode) -> dict[str, Any]:
    """Return geth's genesis with the accounts and the header of our new network."""
    block = ours.ask("eth_getBlockByNumber", ["0x0", False])["result"]
    dump = json.loads(gzip.decompress(bytes.fromhex(ours.ask("anvil_dumpState", [])["result"][2:])))
    config = {
        "chainId": CHAIN_ID,
        **{f"{fork}Block": 0 for fork in _FORKS},
        "terminalTotalDifficulty": 0,
        **{f"{fork}Time": 0 for fork in ("shanghai", *_BLOBS)},
        "depositContractAddress": "0x" + bytes(20).hex(),
        "blobSchedule": {
            fork: dict(zip(("target", "max", "baseFeeUpdateFraction"), row, strict=True))
            for fork, row in _BLOBS.items()
        },
    }
    alloc = {
        address: {**{name: account[name] for name in ("balance", "code", "storage")}, "nonce": hex(account["nonce"])}
        for address, account in dump["accounts"].items()
        if int(address, 16)
    }
    return {
        "config": config,
        "nonce": "0x0",
        "difficulty": "0x0",
        "coinbase": block["miner"],
        "baseFeePerGas": hex(_BASE_FEE),
        **{name: block[name] for name in ("timestamp", "extraData", "gasLimit", "mixHash")},
        "alloc": {**alloc, **json.loads((FOLDER / "system_contracts.json").read_text(encoding="utf-8"))},
    }
