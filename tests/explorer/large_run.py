"""Cost and size of the explorer pages of a large chain, and their growth with the chain.

python -m tests.explorer.large_run --count 100000 --seed 1 [--record FILE]

The chain has 1,100 blocks and `--count` more with one message each, most of them to a new address, so the state ends
with that many actors and address map entries. Before and after these blocks each kind of page is requested in this
process. Its CPU time and size may be at most `MAX_TIME` and `MAX_SIZE`, and its time at most `MAX_GROWTH` times the
earlier one. Two more messages have a call tree of 1,024 levels and one of 10,000 calls; their times depend on their
execution and are only recorded. The first page of a new process is also timed.
"""

import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.messages.address import Address
from localnet import Network
from localnet.ledger.address_index import AddressIndex
from localnet.ledger.records import MAX_GAS_LIMIT
from localnet.rpc.node import Node
from store.cid import show
from tests.explorer.stage import ARTIFACTS
from tests.harness.recorded import RunRecord, finish, options
from tests.localnet.explorer.conftest import Visitor

MAX_TIME: Final = 0.1
"""Maximum CPU time in seconds."""
MAX_SIZE: Final = 200_000
MAX_GROWTH: Final = 1.6
FIRST_BLOCKS: Final = 1_100
"""Number of blocks after which a page that reads the newest 1,000 tipsets has its final cost."""
LEAST_BLOCKS: Final = 1_000
"""Minimum number of further blocks to detect a page that reads the whole chain; also that of a replay."""
SHORTEST: Final = 0.01
"""CPU time in seconds below which a page counts as not slower."""
FIRST_PAGE: Final = 0.05
LEVELS: Final = 1_024
CALLS: Final = 10_000
BUSY: Final = EthAddress(b"\xde" * 20)
GAS: Final = 1 << 42
RECURSES: Final = "5f5f5f5f5f305af100"
"""A contract that calls itself until the depth limit."""
_TIMES: Final = 5
_PROGRAM: Final = """
import time, localnet.rpc.server.server
from localnet import Network
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node
method_table()
with Network() as network:
    node, begun = Node(network), time.process_time()
    from localnet.contracts.artifacts import ArtifactFolders
    from localnet.explorer.pages import Pages, PageRequest
    from localnet.explorer.site import Site
    from localnet.explorer.pages import show_home
    show_home(Site(node, ArtifactFolders(None)), node, PageRequest("http://127.0.0.1"))
    print(time.process_time() - begun)
"""


@dataclass
class LargeChain:
    """The growing chain with its known addresses and hashes."""

    network: Network
    draw: random.Random
    addresses: AddressIndex = field(default_factory=AddressIndex)
    greeted: list[str] = field(default_factory=list)
    """Hashes of messages with an event, as text."""

    def __post_init__(self) -> None:
        self.inbox = self.network.deploy(ARTIFACTS / "Inbox.json")

    def grow(self, blocks: int) -> None:
        """Make blocks and index them."""
        for number in range(blocks):
            if number % 20 == 0:
                self.greeted.append(f"0x{self.inbox.send('greet', f'number {number}').hash.hex()}")
            elif number % 53 == 0:
                self.network.mine(null_rounds=2)
            else:
                self.network.send(EthAddress(self.draw.randbytes(20)), 1)
        while self.addresses.follow(self.network.chain.index):
            pass

    def pages(self) -> dict[str, str]:
        """Return an address of each kind of page, at a random place of the chain."""
        index, first = self.network.chain.index, self.greeted[0]
        middle = index.tipset_before(self.network.block_number // 2)
        assert middle is not None, "the chain has a middle"
        last = self.network.head.transactions
        topic = self.network.receipt(bytes.fromhex(first[2:])).logs[0].log.topics[0].hex()
        inbox = f"0x{self.inbox.address.hex()}"
        return {
            "home": "/",
            "epoch": f"/epoch/{middle.height}",
            "block": f"/block/{show(middle.block)}",
            "a message with an event": f"/tx/{self.greeted[-1]}",
            "the newest message": f"/tx/0x{last[0].hex()}" if last else f"/tx/{self.greeted[-1]}",
            "what a message changed": f"/tx/{self.greeted[-1]}/changes",
            "what an epoch changed": f"/epoch/{self.network.head.height}/changes",
            "reward and cron": f"/epoch/{self.network.head.height}/cron",
            "a contract": f"/actor/{inbox}",
            "an account": f"/actor/{self.network.accounts[0].native}",
            "older messages": f"/actor/{inbox}?below={middle.height}",
            "actors": "/actors",
            "a map of as many entries": "/actor/f01/state/address_map",
            "an entry's neighbours": f"/actor/f01/state/address_map?after={Address.id(99)}",
            "a contract's slots": f"/actor/{inbox}/state/contract_state",
            "forms": f"/actor/{inbox}/call",
            "a topic": f"/search?q=0x{topic}",
            "a function": "/search?q=greet",
            "controls": "/controls",
        }


@dataclass(frozen=True, slots=True)
class PageCost:
    """CPU time in seconds, and size in bytes."""

    seconds: float
    size: int


def cost(visit: Visitor, address: str) -> PageCost:
    """Return the median cost of a page that was requested before."""
    taken = []
    for _ in range(_TIMES):
        begun = time.process_time()
        page = visit(address)
        taken.append(time.process_time() - begun)
        assert page.status in (200, 302), (address, page.status, page.text[:300])
    return PageCost(median(taken), len(page.body))


def findings(before: dict[str, PageCost], after: dict[str, PageCost]) -> list[str]:
    """Return the violations of the cost limits as sentences."""
    found = []
    for name, now in after.items():
        then = before[name]
        if now.seconds > MAX_TIME:
            found.append(f"{name} takes {now.seconds * 1000:.0f} ms")
        if now.size > MAX_SIZE:
            found.append(f"{name} has {now.size:,} bytes")
        if now.seconds > MAX_GROWTH * max(then.seconds, SHORTEST):
            found.append(f"{name} grows: {then.seconds * 1000:.1f} ms, then {now.seconds * 1000:.1f} ms")
    return found


def large_messages() -> dict[str, dict[str, float]]:
    """Measure a tree of 1,024 levels and one of 10,000 calls: seconds, bytes and calls of each page.

    They run under Ethereum's rules, since Filecoin's gas limit of a message ends such a tree at some 300 levels.
    """
    found = {}
    with Network(rules="ethereum", hardfork="Prague") as network:
        network.set_default_block_gas_limit(MAX_GAS_LIMIT)
        network.set_balance(network.accounts[0], 1 << 100)
        visit = Visitor(Node(network))
        codes = ("levels", LEVELS + 1, RECURSES), ("calls", CALLS + 1, many_calls(network.accounts[1].address))
        for name, least, code in codes:
            network.set_code(BUSY, bytes.fromhex(code))
            network.send(BUSY, 0, gas_limit=GAS)
            address = f"/tx/0x{network.head.transactions[0].hex()}"
            begun = time.process_time()
            page = visit(address)
            taken = time.process_time() - begun
            assert page.status == 200, page.text[:300]
            calls = int(page.text.split("Calls ")[1].split()[0].replace(",", ""))
            assert calls >= least, (name, calls)
            found[f"a tree of {name}"] = {"seconds": round(taken, 3), "bytes": len(page.body), "calls": calls}
    return found


def many_calls(target: EthAddress) -> str:
    """Return the code of a contract that calls an account 10,000 times."""
    call = f"5f5f5f5f5f73{target.hex()}5af150"
    return f"61{CALLS:04x}5b{call}6001900380600357" + "00"


def measured(chain: LargeChain, visit: Visitor) -> dict[str, PageCost]:
    """Return the costs of all pages."""
    return {name: cost(visit, address) for name, address in chain.pages().items()}


def first_page() -> float:
    """Return the CPU time in seconds of the first page of a process that serves a node."""
    done = [
        subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True).stdout
        for _ in range(_TIMES)
    ]
    return min(map(float, done))


def run(count: int, seed: int) -> RunRecord:
    """Run all measurements."""
    with Network() as network:
        chain = LargeChain(network, random.Random(seed))
        node = Node(network, addresses=chain.addresses)
        visit = Visitor(node)
        chain.grow(FIRST_BLOCKS)
        before = measured(chain, visit)
        chain.grow(max(count, LEAST_BLOCKS))
        after = measured(chain, visit)
        found = findings(before, after)
        large = large_messages()
        found += [f"{name} has {each['bytes']:,} bytes" for name, each in large.items() if each["bytes"] > MAX_SIZE]
        first = first_page()
        if first > MAX_TIME:
            found.append(f"the first page takes {first * 1000:.0f} ms")
        indexed = chain.addresses.top_on(network.chain.index) or 0
        entries = sum(1 for _ in network.machine.state_tree.actors())
        node.close()
        chain.addresses.close()
    return RunRecord(
        seed=seed,
        count=count,
        stages={"blocks": count, "blocks in the index": min(count, indexed)},
        findings=found,
        details={
            "actors": entries,
            "milliseconds": {name: round(each.seconds * 1000, 1) for name, each in after.items()},
            "bytes": {name: each.size for name, each in after.items()},
            "large messages": large,
            "first page milliseconds": round(first * 1000, 1),
            "first page goal milliseconds": FIRST_PAGE * 1000,
        },
    )


def main() -> int:
    """Run the program."""
    started, chosen = time.monotonic(), options(__doc__, 100_000).parse_args()
    return finish(run(chosen.count, chosen.seed), chosen, started)


if __name__ == "__main__":
    raise SystemExit(main())
