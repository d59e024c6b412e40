"""Cost of requests on a chain of 100,000 blocks with 1,000,000 log entries, compared with a short one.

The network has 100,000 actors in a folder. Executing its blocks would take 15 minutes, so the chain is written without
execution: tipsets, messages, events and index entries of one executed transfer, with varying logs, by the code used for
produced blocks (`Chain.assemble`, `tipset_entries`). Requests run in this process through the node's dispatcher,
measured in processor time to reduce the effect of other programs and the disk.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any, Final

from bench.bench_memory import resident
from bench.rows import Row, seconds
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.receipts import Log, log_to_entries
from hypervisor.messages.events import StampedEvent, events_tree
from hypervisor.types import ActorID, ChainEpoch, TokenAmount
from localnet import Network
from localnet.ledger.genesis import GenesisOptions
from localnet.ledger.index import tipset_entries
from localnet.ledger.records import EmittedEvent, Execution
from localnet.rpc.node import Node
from localnet.rpc.server.dispatch import Dispatcher
from store.blocks.buffered import BufferedStore
from store.blocks.memory import MemoryStore
from store.cid import Cid

SHORT, SPAN, LONG = 1_000, 2_880, 100_000
FOR_LOGS: Final = 3_000
"""Number of blocks of the shorter chain for queries of logs in `SPAN` blocks."""
LOGS: Final = 10
"""Number of logs per block, all in one transaction."""
EMITTERS: Final = 50
ACTORS, START, EPOCH, BATCH = 100_000, 1_700_000_000, 30, 1_000
TRANSFER: Final = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
SNAPSHOTS: Final = 60

Measures = dict[str, float]
"""Milliseconds by row."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    with TemporaryDirectory() as folder, create_network(Path(folder)) as network:
        chain = LongChain(network)
        chain.grow(SHORT)
        first, memory = chain.requests(), resident() / 1e6
        chain.grow(FOR_LOGS)
        first |= chain.searches()
        chain.grow(LONG)
        last = chain.requests() | chain.searches()
        grown, states = resident() / 1e6 - memory, snapshot_milliseconds(network)
    for name, before in first.items():
        yield Row(name, last[name] / before, f"{before:.3g} ms on the short chain, {last[name]:.3g} ms on the long one")
    yield Row("snapshot and revert, 100,000 actors", states, "five blocks back, on a folder, synced, on the long chain")
    yield Row("memory that the long chain adds", grown, f"resident: {memory:.0f} MB on the short one")


def create_network(folder: Path) -> Network:
    """Return the network with only its genesis."""
    others = {to_filecoin(EthAddress((number + 1).to_bytes(20, "big"))): TokenAmount(1) for number in range(ACTORS)}
    return Network(folder, genesis=GenesisOptions(balances=others), clock=lambda: START)


def snapshot_milliseconds(network: Network) -> float:
    """Return milliseconds of a snapshot and of reverting to it over five blocks: the best of some."""
    taken = []
    for _ in range(SNAPSHOTS):
        start = perf_counter()
        snapshot = network.snapshot()
        until = perf_counter() - start
        network.mine(5)
        start = perf_counter()
        network.revert(snapshot)
        taken.append(1e3 * (perf_counter() - start + until))
    return min(taken)


# --- the chain --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Emission:
    """The logs of a block: the events, the root of their list, its blocks."""

    events: tuple[EmittedEvent, ...]
    root: Cid | None
    blocks: Mapping[Cid, bytes]


class LongChain:
    """A chain that is written without execution, and requests to it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._random = Random(1)  # selects the blocks to query
        self._written: list[int] = []
        self._emissions = [emission(number) for number in range(EMITTERS)]
        self._request = dispatcher_client(network)
        template = network.find_receipt(network.submit(self._transfer()))
        assert template is not None
        self._template = template.execution

    def grow(self, height: int) -> None:
        """Write tipsets up to a height, and make the last one the head."""
        chain, tipset = self.network.chain, self.network.head
        while tipset.height < height:
            blocks, entries = BufferedStore(MemoryStore()), dict[bytes, bytes | None]()
            for number in range(tipset.height + 1, min(height, tipset.height + BATCH) + 1):
                execution = self._execution(number, blocks)
                self._written.append(number)
                timestamp = START + EPOCH * number
                block = chain.next_block(chain.machine, tipset, ChainEpoch(number), timestamp)
                block.executions.append(execution)
                tipset = block.assemble(blocks)
                entries |= tipset_entries(tipset, [execution])
            chain.machine.base.commit(blocks.pending.items(), {}, entries)
        chain.index.head = tipset.height
        self.network.go_back(tipset)
        self.network.mine()  # the reward actor skips the epochs that it has not seen

    def _execution(self, height: int, blocks: BufferedStore) -> Execution:
        """Return the executed transfer with another nonce and hash, and a block's logs."""
        logs = self._emissions[height % EMITTERS]
        blocks.put_many(logs.blocks.items())
        sent = self._template.candidate
        message = replace(sent.message, message=replace(sent.bare, nonce=height))
        return replace(
            self._template,
            candidate=replace(
                sent, hash=transaction_hash(height), message=message, sent=None, chain_id=self.network.chain_id
            ),
            receipt=replace(self._template.receipt, events_root=logs.root),
            events=logs.events,
        )

    def requests(self) -> Measures:
        """Return the costs of requests that need one block, and of changes to the chain."""
        return {
            "eth_blockNumber": self._cost("eth_blockNumber", list),
            "eth_getBlockByNumber": self._cost("eth_getBlockByNumber", lambda: [hex(self._some_height()), True]),
            "eth_getTransactionReceipt": self._cost(
                "eth_getTransactionReceipt", lambda: [f"0x{transaction_hash(self._some_height()).hex()}"]
            ),
            "eth_feeHistory of 100 blocks": self._cost(
                "eth_feeHistory", lambda: ["0x64", hex(self._some_height()), [10, 50, 90]], calls=5
            ),
            "a transfer": self._changes(lambda: self.network.submit(self._transfer()), 10),
            "snapshot and revert": self._changes(lambda: self.network.revert(self.network.snapshot()), 50),
        }

    def searches(self) -> Measures:
        """Return the costs of querying logs in 2,880 blocks."""
        first = self._random.randrange(2, self.network.block_number - SPAN)
        span = {"fromBlock": hex(first), "toBlock": hex(first + SPAN)}
        emitter = f"0x{address(7).hex()}"
        # A few blocks of the span were really executed, and have no logs.
        filters: dict[str, tuple[dict[str, Any], int]] = {
            "by address": ({"address": emitter}, SPAN // EMITTERS * LOGS // 2),
            "by topic": ({"topics": [f"0x{TRANSFER.hex()}", f"0x{topic(7, 0).hex()}"]}, SPAN // EMITTERS // 2),
            "that nothing matches": ({"topics": [f"0x{bytes(31).hex()}ff"]}, 0),
        }
        costs = {}
        for name, (wanted, least) in filters.items():
            params = [span | wanted]
            assert len(self._request("eth_getLogs", params)) >= least
            costs[f"eth_getLogs of 2,880 blocks, {name}"] = self._cost("eth_getLogs", partial(list, params), calls=1)
        return costs

    def _cost(self, method: str, params: Callable[[], list[Any]], calls: int = 50) -> float:
        return 1e3 * seconds(lambda: self._request(method, params()), calls=calls, rounds=7, clock=process_time)

    def _changes(self, action: Callable[[], object], calls: int) -> float:
        return 1e3 * seconds(action, calls=calls, rounds=7, clock=process_time)

    def _some_height(self) -> int:
        """Return the height of a random written block."""
        return self._random.choice(self._written)

    def _transfer(self) -> bytes:
        sender, receiver = self.network.accounts[:2]
        nonce, fee = self.network.nonce(sender), 10**6
        transaction = Transaction(
            DYNAMIC_FEE, self.network.chain_id, nonce, receiver.address, 1, b"", 3_000_000, fee, 10**5
        )
        return sender.sign(transaction).raw()


def emission(number: int) -> Emission:
    """Return the logs of every block whose height has this remainder: transfers of a token to ten holders."""
    logs = [Log((TRANSFER, topic(number, place), topic(place, number)), bytes(32)) for place in range(LOGS)]
    emitter = ActorID(1_000 + number)
    events = tuple(EmittedEvent(emitter, address(number), tuple(log_to_entries(log))) for log in logs)
    root, blocks = events_tree([StampedEvent(event.emitter, event.entries) for event in events])
    return Emission(events, root, dict(blocks))


def address(number: int) -> EthAddress:
    """Return the address of a contract that emits logs."""
    return EthAddress(b"\xee" * 18 + number.to_bytes(2, "big"))


def topic(number: int, place: int) -> bytes:
    """Return a holder's address as a topic."""
    return bytes(28) + number.to_bytes(2, "big") + place.to_bytes(2, "big")


def transaction_hash(height: int) -> bytes:
    """Return the hash of the written transaction at a height."""
    return b"\xaa" * 24 + height.to_bytes(8, "big")


def dispatcher_client(network: Network) -> Callable[[str, list[Any]], Any]:
    """Return a function that sends a request to the node's dispatcher, all in this thread, and returns the result."""

    async def here(work: Callable[[], Any]) -> Any:
        return work()

    dispatcher = Dispatcher(Node(network), here)

    def request(method: str, params: list[Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            dispatcher.dispatch(body).send(None)
        except StopIteration as done:
            return json.loads(done.value)["result"]
        raise RuntimeError(f"{method} does not run inline")

    return request
