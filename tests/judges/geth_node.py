"""geth as a judge, and our node under Ethereum's rules with the same chain.

geth's genesis is made from ours; it also needs the system contracts of EIP-4788, EIP-7002 and EIP-7251. Blocks get the
same times, randomness, beneficiary and transactions, so gas, fees and balances are equal. geth makes them with
`testing_commitBlockV1`; the genesis is its safe and final block, as it is here for chains of less than 30 blocks. The
times are in the future, so that geth's pending block follows the head by a second instead of the clock.
"""

import base64
import gzip
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from hypervisor.installation import user_folder
from localnet import Network
from tests.judges.nodes import JudgedNode, NoJudge, OurNode, Program, free_ports, post
from tests.judges.scripts import FOLDER, GETH, Block

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


class OurEthereumNode(OurNode):
    """Our node under Ethereum's rules."""

    def __init__(self) -> None:
        chain = GETH.chain
        start, chain_id = float(chain["start"]), chain["chainId"]
        super().__init__(Network(rules="ethereum", hardfork="osaka", chain_id=chain_id, clock=lambda: start))
        self.genesis = _genesis(self)
        self.ask("anvil_setCoinbase", [chain["beneficiary"]])

    def mine(self, block: Block | None) -> None:
        timestamp, randomness = _next_block(self)
        self.ask("evm_setNextBlockTimestamp", [hex(timestamp)])
        self.ask("anvil_setNextBlockPrevRandao", [randomness])
        for raw in block.messages if block else ():
            self.submit(raw)
        self.ask("evm_mine", [])

    def names(self) -> dict[str, str]:
        return _hashes(self)


class Geth(Program):
    """geth on the chain that begins with our genesis."""

    def __init__(self) -> None:
        program = _program()
        super().__init__("geth")
        self._secret = hashlib.sha256(b"judges").digest()
        ports = [str(port) for port in free_ports(2)]
        self._url, self._engine = (f"http://127.0.0.1:{port}" for port in ports)
        with OurEthereumNode() as ours:
            (self.folder / "genesis.json").write_text(json.dumps(ours.genesis), encoding="utf-8")
        (self.folder / "secret").write_text(self._secret.hex(), encoding="utf-8")
        data = ["--datadir", str(self.folder / "data"), "--state.scheme", "hash"]
        if subprocess.run(
            [program, "init", *data, self.folder / "genesis.json"], stderr=self.log, check=False
        ).returncode:
            self.fail()
        command = [
            str(program), *data, "--gcmode", "archive", "--syncmode", "full", "--networkid", str(GETH.chain["chainId"]),
            "--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--http", "--http.port", ports[0],
            "--http.api", "eth,debug,txpool,net,web3,testing", "--authrpc.port", ports[1],
            "--authrpc.jwtsecret", str(self.folder / "secret"), "--miner.pending.feeRecipient",
            GETH.chain["beneficiary"],
            "--miner.gasprice", "1", "--miner.gaslimit", str(_GAS_CAP), "--rpc.gascap", str(_GAS_CAP),
            "--rpc.allow-unprotected-txs", "--txpool.pricelimit", "1", "--gpo.ignoreprice", "1",
        ]  # fmt: skip
        self.blocks: list[dict[str, Any]] = []  # ours follows from chain.json alone
        self._pool_changed = False
        self.start(command, self._url)

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        if self._pool_changed and method != "eth_sendRawTransaction":
            time.sleep(_PENDING_SECONDS)
            self._pool_changed = False
        response = post(self._url, method, params)
        self._pool_changed |= method == "eth_sendRawTransaction" and "result" in response
        return response

    def mine(self, block: Block | None) -> None:
        timestamp, randomness = _next_block(self)
        attributes = {
            "timestamp": hex(timestamp),
            "prevRandao": randomness,
            "suggestedFeeRecipient": GETH.chain["beneficiary"],
            "withdrawals": [],
            "parentBeaconBlockRoot": "0x" + bytes(32).hex(),
        }
        made = self.ask("testing_commitBlockV1", [attributes, block.messages if block else None, "0x"])
        first = self.ask("eth_getBlockByNumber", ["0x0", False])["result"]["hash"]
        choice = {"headBlockHash": made["result"], "safeBlockHash": first, "finalizedBlockHash": first}
        ended = post(self._engine, "engine_forkchoiceUpdatedV3", [choice, None], self._token())
        assert ended["result"]["payloadStatus"]["status"] == "VALID", ended
        self._pool_changed = block is None

    def names(self) -> dict[str, str]:
        return _hashes(self)

    def _token(self) -> dict[str, str]:
        """Return the header of the engine API: a JSON Web Token with the time, signed with the shared secret."""
        parts = [{"alg": "HS256", "typ": "JWT"}, {"iat": int(time.time())}]
        text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        signature = base64.urlsafe_b64encode(hmac.digest(self._secret, text, "sha256")).rstrip(b"=")
        return {"authorization": f"Bearer {(text + b'.' + signature).decode()}"}


def _program() -> Path:
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


def _hashes(node: JudgedNode) -> dict[str, str]:
    """Return the hashes of the chain's blocks, by placeholder."""
    head = int(node.ask("eth_blockNumber", [])["result"], 16)
    blocks = (node.ask("eth_getBlockByNumber", [hex(height), False])["result"] for height in range(head + 1))
    return {f"hash{height}": block["hash"] for height, block in enumerate(blocks)}


def _next_block(node: JudgedNode) -> tuple[int, str]:
    """Return time and randomness of the block after the head."""
    head = node.ask("eth_getBlockByNumber", ["latest", False])["result"]
    number = int(head["number"], 16) + 1
    timestamp = GETH.chain["start"] + GETH.chain["interval"] * number
    return timestamp, Block(number, 0, []).randomness


def _genesis(ours: OurNode) -> dict[str, Any]:
    """Return geth's genesis with the accounts and the header of our new network."""
    block = ours.ask("eth_getBlockByNumber", ["0x0", False])["result"]
    dump = json.loads(gzip.decompress(bytes.fromhex(ours.ask("anvil_dumpState", [])["result"][2:])))
    config = {
        "chainId": GETH.chain["chainId"],
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
        "alloc": {**alloc, **json.loads((GETH.folder / "system_contracts.json").read_text(encoding="utf-8"))},
    }
