"""Lotus as a judge, and our node under Filecoin's rules with the same messages.

Lotus is its own test kit with mock proofs (`lotus/build.sh`): one process with a node and a miner, which makes blocks
at request, and in one of a hundred rounds none. Its genesis cannot be chosen, so IDs of actors and hashes of blocks
differ and have placeholders. Our blocks get the heights, times and base fees of Lotus' blocks, and the accounts the
same funds.
"""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from hypervisor.installation import user_folder
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import ATTO_PER_FIL, INIT_ACTOR, MARKET_ACTOR, TokenAmount
from localnet import Network
from store.blockstore import get_object, put_object
from tests.conftest import fvm_data
from tests.judges.nodes import JudgedNode, LostRound, NoJudge, OurNode, Program, free_ports, post, submitted
from tests.judges.scripts import LOTUS, Block

VERSION: Final = "1.36.1"
BUNDLE: Final = "bundles/v18-testing-fake-proofs.car"
_FUNDS: Final = 10_000
"""FIL of each account."""
_ACCOUNTS: Final = ("account0", "account1", "account2", "native0", "native1", "native2")
_ETHEREUM: Final = 42
"""Length of an Ethereum address as text."""


class OurFilecoinNode(OurNode):
    """Our node under Filecoin's rules, whose blocks follow those of Lotus: heights, times and base fees."""

    def __init__(self, blocks: list[dict[str, Any]]) -> None:
        data = fvm_data()
        if data is None or not (data / BUNDLE).is_file():
            raise NoJudge(f"{BUNDLE} was not found: FVM_DATA must name a folder that has it")
        self._blocks = iter(blocks)
        start = float(next(self._blocks)["Timestamp"])
        super().__init__(
            Network(
                bundle=data / BUNDLE,
                network=LOTUS.chain["network"],
                chain_id=LOTUS.chain["chainId"],
                deferred=True,
                account_count=3,
                balance=TokenAmount(_FUNDS * ATTO_PER_FIL),
                bare=True,
                clock=lambda: start,
            )
        )
        _set_next_ids(self.network.machine)
        self.network.chain.keep_changes()
        self.ask("anvil_mine", [LOTUS.chain["height"] - 1])
        self._make_block(0)

    def mine(self, block: Block | None) -> None:
        for message in block.messages if block else ():
            self.submit(message)
        self._make_block(block.nulls if block else 0)

    def names(self) -> dict[str, str]:
        return _names(self)

    def _make_block(self, nulls: int) -> None:
        facts = next(self._blocks)
        self.ask("evm_setNextBlockTimestamp", [hex(facts["Timestamp"])])
        self.ask("anvil_setNextBlockBaseFeePerGas", [hex(int(facts["ParentBaseFee"]))])
        self.ask("hypervisor_mineAfterNullRounds", [nulls]) if nulls else self.ask("evm_mine", [])


class Lotus(Program):
    """Lotus with funded accounts, at the height at which chain.json begins."""

    def __init__(self) -> None:
        folder = _program()
        super().__init__("Lotus")
        (port,) = free_ports(1)
        self._base = f"http://127.0.0.1:{port}"
        self._url = f"{self._base}/rpc/v1"
        settings = {"JUDGE_PORT": str(port), "JUDGE_NETWORK": str(LOTUS.chain["network"])}
        command = [str(folder / "judge"), "-test.run", "TestJudge", "-test.timeout", "0"]
        self.start(command, self._url, cwd=folder / "lotus" / "itests" / "judge", env={"HOME": str(folder), **settings})
        genesis = self.ask("Filecoin.ChainGetGenesis", [])["result"]["Blocks"][0]
        self.blocks: list[dict[str, Any]] = [_facts(genesis)]
        self._get("mine?nulls=0")
        for name in _ACCOUNTS:
            self._get(f"fund?to={LOTUS.with_names(f'<{name}>')}&fil={_FUNDS}")
        while self._head()["Height"] < LOTUS.chain["height"]:
            self._get("mine?nulls=0")
        self.blocks.append(self._head())

    def ask(self, method: str, params: list[Any]) -> dict[str, Any]:
        return post(self._url, method, params)

    def mine(self, block: Block | None) -> None:
        for message in block.messages if block else ():
            if "error" in (response := submitted(self, message)):
                raise ValueError(f"Lotus refuses a message of chain.json: {response['error']}")
        self._make_block(block.nulls if block else 0)

    def names(self) -> dict[str, str]:
        return _names(self)

    def _make_block(self, nulls: int) -> None:
        expected = self.blocks[-1]["Height"] + nulls + 1
        self._get(f"mine?nulls={nulls}")
        self.blocks.append(self._head())
        if self.blocks[-1]["Height"] != expected:
            raise LostRound(f"Lotus' miner did not win the round {expected}")

    def _head(self) -> dict[str, Any]:
        return _facts(self.ask("Filecoin.ChainHead", [])["result"]["Blocks"][0])

    def _get(self, path: str) -> None:
        with urlopen(f"{self._base}/{path}", timeout=60) as reply:
            reply.read()


def _set_next_ids(machine: Hypervisor) -> None:
    """Let created actors and deals have the same IDs as in Lotus."""
    tree = machine.state_tree
    for number, index, name in ((INIT_ACTOR, 1, "nextId"), (MARKET_ACTOR, 5, "nextDeal")):
        actor = tree.existing(number)
        state = get_object(machine.store, actor.head)
        state[index] = LOTUS.chain[name]
        tree.set_actor(number, replace(actor, head=put_object(machine.store, state)))


def _facts(block: dict[str, Any]) -> dict[str, Any]:
    """Return what our block of the same height gets."""
    return {name: block[name] for name in ("Height", "Timestamp", "ParentBaseFee")}


def _program() -> Path:
    """Return the folder with Lotus, built once and kept in the cache folder. Raises NoJudge."""
    folder = user_folder("cache") / "judges" / f"lotus-{VERSION}"
    if (folder / "judge").is_file():
        return folder
    missing = [tool for tool in ("go", "cargo", "gcc", "zstd") if shutil.which(tool) is None]
    if missing:
        raise NoJudge(f"{', '.join(missing)} was not found: Lotus' build needs Go 1.25, Rust 1.94, gcc and zstd")
    print(f"building Lotus {VERSION}, once; this takes about ten minutes", file=sys.stderr, flush=True)
    if subprocess.run([LOTUS.folder / "build.sh", folder, VERSION], check=False).returncode:
        raise NoJudge(f"Lotus {VERSION} cannot be built: the errors are above")
    return folder


def _names(node: JudgedNode) -> dict[str, str]:
    """Return CIDs and hashes of the chain's blocks, and IDs of the named actors with their masked forms."""
    names: dict[str, str] = {}
    for height in range(node.ask("Filecoin.ChainHead", [])["result"]["Height"] + 1):
        tipset = node.ask("Filecoin.ChainGetTipSetByHeight", [height, None])["result"]
        if tipset["Height"] == height:
            names[f"block{height}"] = tipset["Cids"][0]["/"]
            names[f"root{height}"] = tipset["Blocks"][0]["ParentStateRoot"]["/"]
            block = node.ask("eth_getBlockByNumber", [hex(height), False])
            if block.get("result"):
                names[f"hash{height}"] = block["result"]["hash"]
    for name in (*_ACCOUNTS, *LOTUS.chain["names"]):
        address = LOTUS.with_names(f"<{name}>")
        if len(address) == _ETHEREUM:
            address = node.ask("Filecoin.EthAddressToFilecoinAddress", [address])["result"]
        if actor := node.ask("Filecoin.StateLookupID", [address, None]).get("result"):
            names[f"id.{name}"] = actor
            names[f"masked.{name}"] = f"0xff{int(actor[2:]):038x}"
    return names
