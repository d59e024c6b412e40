"""The node on the official bundle: its start, response times beside other work, transfers, and snapshots."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter, process_time

from bench.peers import TRANSFERS, PeerConnection, Running, Transactions, signed_transaction, titanoboa
from bench.rows import Row, seconds
from bridge.filecoin.method_numbers import INVOKE_EVM
from hypervisor.messages.message import Message
from hypervisor.types import Gas, TokenAmount
from localnet import Network
from localnet.chain import admission
from localnet.ledger.records import Tipset
from tests.harness.paths import BUNDLES

BUNDLE = BUNDLES / "v18-testing-fake-proofs.car"
HYPERVISOR = Path(sys.executable).with_name("hypervisor")
WAITING = "eth_chainId while a call runs, 99th percentile"
IN_PROCESS = "a transfer and its receipt, in this process"
ENDLESS = "0x5b5f56"
"""Code that jumps to itself."""


def rows() -> Iterator[Row]:
    """Yield the rows of this area, in the order of targets.toml."""
    yield help_row()
    with TemporaryDirectory() as folder:
        yield start_row("a node in memory ready", Path(folder), None, "--rules", "filecoin")
    if not BUNDLE.is_file():
        yield Row("warm start to ready", None, note=f"no bundle {BUNDLE.name}: set FVM_DATA")
        return
    with TemporaryDirectory() as folder:
        state = Path(folder) / "chain"
        yield start_row("warm start to ready", Path(folder), state)
        with node(Path(folder), state) as running:
            connection = PeerConnection(running.port)
            stored = Transactions(connection, running.processor_time).transfers(connection.send_with_receipts)
        yield waiting_row(Path(folder))
    yield transfer_row(stored / 1e3)
    yield in_process_row()
    yield snapshot_row()


def waiting_row(folder: Path) -> Row:
    """Return milliseconds of eth_chainId during a contract's endless loop on py-evm: the best of five runs.

    A call ends when it reaches its gas limit or timeout, after 0.5 to 5 seconds, and the next one begins.
    """
    with node(folder, folder / "looping", "--evm", "py-evm") as running:
        connection, contract = PeerConnection(running.port), f"0x{bytes(19).hex()}77"
        connection.request("anvil_setCode", contract, ENDLESS)
        over, failures = Event(), []

        def call() -> None:
            calls = PeerConnection(running.port)
            while not over.is_set():
                failures.append(calls.response("eth_call", {"to": contract}, "latest")["error"]["message"])

        calling = Thread(target=call)
        calling.start()
        time.sleep(0.5)
        worst = [_percentile_99(connection) for _ in range(5)]
        over.set()
        calling.join()
    assert all("out of gas" in failure or "timeout" in failure for failure in failures), failures
    return Row(WAITING, min(worst), note="a hundred requests, 10 ms apart, while a contract computes")


def _percentile_99(connection: "PeerConnection") -> float:
    taken = []
    for _ in range(100):
        start = perf_counter()
        connection.request("eth_chainId")
        taken.append(1e3 * (perf_counter() - start))
        time.sleep(0.01)
    return sorted(taken)[98]


def help_row() -> Row:
    """Return milliseconds of processor time of the command's help, the best of some runs."""

    def run() -> None:
        subprocess.run([HYPERVISOR, "--help"], stdout=subprocess.DEVNULL, check=True)

    return Row("hypervisor --help", 1e3 * seconds(run, clock=_of_ended))


def _of_ended() -> float:
    """Return seconds of processor time of all ended child processes."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start_row(name: str, folder: Path, state: Path | None, *options: str) -> Row:
    """Return milliseconds of processor time from the command to the ready file.

    The first start fills the caches and makes the folder, and does not count.
    """
    taken, busy = [], []
    for _ in range(6):
        start = perf_counter()
        with node(folder, state, *options) as running:
            taken.append(1e3 * (perf_counter() - start))
            busy.append(1e3 * running.processor_time())
    parts = {"with what other programs took": min(taken[1:])}
    return Row(name, min(busy[1:]), note="hypervisor node, modules cached", parts=parts)


def transfer_row(full: float) -> Row:
    """Return milliseconds of one transfer, sent raw, with its receipt, one after the other; and its parts.

    This is processor time, without the disk's time to sync.
    """
    with TemporaryDirectory() as folder, Network(Path(folder) / "chain", bundle=BUNDLE) as stored:
        on_disk = transfers(stored)
    with Network(bundle=BUNDLE) as network:
        in_memory = transfers(network)
        raw = signed_transfers(network)
        empty = 1e3 * seconds(lambda: network.mine(), calls=20, clock=process_time)
        start = process_time()
        for data in raw:
            candidate = admission.from_raw(network.machine, data)
        admission.check(network.machine, candidate, network.base_fee)
        checked = 1e3 * (process_time() - start) / TRANSFERS
        candidates = [admission.from_raw(network.machine, data) for data in raw]
        start = process_time()
        block = network.chain.next_block(network.machine, network.head, network.block_number, network.next_timestamp)
        with network.machine.trial():
            block.run_all(candidates)
        executed = 1e3 * (process_time() - start) / TRANSFERS
    parts = {
        "HTTP, JSON, the way to the owner's thread, the receipt": full - on_disk,
        "the commit": on_disk - in_memory,
        "signature and checks": checked,
        "the message": executed,
        "reward, cron and the block": empty,
        "the rest": in_memory - checked - executed - empty,
    }
    return Row("a transfer and its receipt", full, note=f"{len(block.executions)} transfers, one by one", parts=parts)


def in_process_row() -> Row:
    """Return an unsigned transfer in this process until its receipt is available, under Ethereum's rules as in
    titanoboa.

    It includes producing and storing a block, which titanoboa does not do.
    """
    costs = {}
    for rules in ("ethereum", "filecoin"):
        with Network(rules=rules) as network:
            costs[rules] = 1e6 * impersonated_seconds(network)
    parts = {"ours, us": costs["ethereum"], "ours under Filecoin's rules, us": costs["filecoin"]}
    theirs = titanoboa()
    if theirs is None:
        return Row(IN_PROCESS, None, note="titanoboa is not installed: run scripts/peers", parts=parts)
    return Row(IN_PROCESS, costs["ethereum"] / theirs, parts=parts | {"titanoboa's, us": theirs})


def impersonated_seconds(network: Network) -> float:
    """Return seconds of one transfer on behalf of an account, with block and receipt: the best of a hundred."""
    sender, receiver = (account.delegated for account in network.accounts[:2])
    best = float("inf")
    for nonce in range(TRANSFERS):
        fee = TokenAmount(2 * network.base_fee + 10**5)
        message = Message(
            receiver, sender, nonce, TokenAmount(1), INVOKE_EVM, gas_limit=Gas(3_000_000), gas_fee_cap=fee
        )
        start = process_time()
        receipt = network.receipt(network.submit_unsigned(message))
        best = min(best, process_time() - start)
        assert receipt.succeeded, receipt
    return best


def snapshot_row() -> Row:
    """Return milliseconds of a snapshot and of reverting to it over some blocks."""
    with TemporaryDirectory() as folder, Network(Path(folder) / "chain", bundle=BUNDLE) as network:
        taken = []
        for _ in range(20):
            before: Tipset = network.head
            start = perf_counter()
            snapshot = network.snapshot()
            taken_so_far = perf_counter() - start
            network.mine(5)
            start = perf_counter()
            network.revert(snapshot)
            taken.append(1e3 * (taken_so_far + perf_counter() - start))
            assert network.head == before
    return Row("snapshot and revert", min(taken), note="five blocks back, on a folder, synced")


# --- the node ---------------------------------------------------------------------------------------------------------


@contextmanager
def node(folder: Path, state: Path | None = None, *more: str) -> Iterator[Running]:
    """Run a node, in memory or with its state in a folder; on the official bundle unless `more` names another one."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    options = ["--port", "0", "--ready-file", str(ready), "--silent"]
    options += [] if state is None else ["--state", str(state)]
    options += more or ["--bundle", str(BUNDLE)]
    process = subprocess.Popen([HYPERVISOR, "node", *options])
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise RuntimeError("the node did not start")
            time.sleep(0.001)
        yield Running(process.pid, int(ready.read_text().strip().rsplit(":", 1)[1]))
    finally:
        process.terminate()
        process.wait()


def transfers(network: Network) -> float:
    """Return milliseconds of one transfer in this process: the best of some rounds."""
    best = float("inf")
    for _ in range(3):
        raw = signed_transfers(network)
        start = process_time()
        for data in raw:
            network.submit(data)
        best = min(best, 1e3 * (process_time() - start) / TRANSFERS)
    return best


def signed_transfers(network: Network) -> list[bytes]:
    """Return the transfers of a round, from the first account's next nonce on."""
    sender = network.accounts[0]
    nonce = network.nonce(sender)
    return [signed_transaction(sender, nonce + step, network.chain_id) for step in range(TRANSFERS)]
