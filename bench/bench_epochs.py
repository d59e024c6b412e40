"""Time per epoch after 10,000 epochs compared with the first ones: cron, a block's reward and a commit, nothing else.

The network has 1,000 actors in a folder; 40 are miners with a sector, whose deadlines cron processes, and one is paid
for every block. Rows use processor time, the best of ten parts of each thousand, to reduce the effect of other programs
and the disk.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from bench.rows import Row
from localnet import Network

EPOCHS, PART = 10_000, 1_000
ACTORS, MINERS = 1_000, 40
NAME = "an epoch, the last thousand of 10,000"
START = 1_700_000_000


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    with TemporaryDirectory() as folder, create_network(Path(folder)) as network:
        parts = [milliseconds(network, PART) for _ in range(EPOCHS // PART)]
    first, last = parts[0], parts[-1]
    slowest = max(range(len(parts)), key=parts.__getitem__)
    note = (
        f"{first:.2f} ms an epoch at first, {last:.2f} ms at last, "
        f"{parts[slowest]:.2f} ms at most (thousand {slowest + 1})"
    )
    yield Row(NAME, last / first, note)


def create_network(folder: Path) -> Network:
    """Return the network, one block after its genesis."""
    network = Network(folder, account_count=(ACTORS - MINERS) // 2, clock=lambda: START)
    miners = [network.create_miner(owner) for owner in network.accounts[:MINERS]]
    network.set_producer(miners[0].address)
    network.mine()
    actors = sum(1 for _ in network.machine.state_tree.actors())
    if actors < ACTORS:
        raise RuntimeError(f"the network has {actors} actors, {ACTORS} are wanted")
    return network


def milliseconds(network: Network, epochs: int) -> float:
    """Return milliseconds of processor time per epoch: the best tenth of N epochs."""
    tenth = epochs // 10
    return 1e3 * min(_seconds(network, tenth) for _ in range(10)) / tenth


def _seconds(network: Network, epochs: int) -> float:
    start = process_time()
    network.mine(epochs)
    return process_time() - start
