"""Random trees of calls over EVM contracts, RISC-V contracts and a WASM actor.

`python -m riscv_tests.trees --count 2000` runs them. Each tree runs on the same state three times: with EVM contracts
only, which is the model, with half of them as RISC-V contracts, and again with these. All see equal results, logs,
slots and balances; the last two runs have equal roots.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from eth_abi.abi import encode

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.method_numbers import method_number
from hypervisor.versions.features import with_features
from localnet import Network, TransactionFailed
from riscv_tests.contracts import forms
from store.codec import encode as cbor

NODES: Final = 4
GAS_LIMIT: Final = 5_000_000_000
CALL_ACTOR: Final = EthAddress(b"\xfe" + bytes(18) + b"\x05")
CALL_CONTRACT: Final = int(method_number("CallContract"))
COUNTER: Final = Path(__file__).parents[3] / "examples" / "counter" / "counter.wasm"
CALL, STATIC, DELEGATE = 0, 1, 2
EFFECTS: Final = (3, 3, 4, 4, 5, 5, 6, 7, 7, 8, 9, 10, 11)
LAST: Final = bytes([5, 255])
"""The last effect of a tree: an event with the digest of all that its first node saw."""
MAX_SIZE: Final = 3_000


def call_through_wasm(actor: int, to: EthAddress, data: bytes, value: int) -> bytes:
    """Return the input of the precompile that lets a native actor call a contract."""
    params = cbor([to, data, b"" if not value else b"\0" + bytes([value])])
    kinds = ("uint64", "uint256", "uint64", "uint64", "bytes", "uint64")
    return encode(kinds, (CALL_CONTRACT, 0, 0, 0x51, params, actor))


def program(rng: Random, nodes: Sequence[EthAddress], actor: int, depth: int) -> bytes:
    """Return a random program of a node, with the programs of those that it calls."""
    parts = []
    for _ in range(rng.randrange(1, 5)):
        if depth == 0 or rng.random() < 0.55:
            parts.append(bytes([rng.choice(EFFECTS if rng.random() < 0.4 else EFFECTS[:10]), rng.randrange(12)]))
            continue
        to, data = rng.choice(nodes), program(rng, nodes, actor, depth - 1)
        kind, value = rng.choice((CALL, CALL, CALL, STATIC, DELEGATE)), rng.choice((0, 0, 0, 1, 7))
        if rng.random() < 0.2:
            kind, data, to = DELEGATE, call_through_wasm(actor, to, data, value), CALL_ACTOR
        if len(data) < MAX_SIZE:
            parts.append(bytes([kind, value]) + to + len(data).to_bytes(2, "big") + data)
    return b"".join(parts)


class Seen(NamedTuple):
    """Results of a tree's message."""

    exit: str
    logs: tuple[Any, ...]
    state: tuple[Any, ...]


class World:
    """A network with the nodes, of which those with an odd number are RISC-V contracts if it is `mixed`."""

    def __init__(self, network: Network, mixed: bool) -> None:
        self.network = network
        node = forms("Node")
        self.nodes = []
        for number in range(NODES):
            code = node.riscv if mixed and number % 2 else node.evm
            address = network.send(None, 1_000, code, gas_limit=GAS_LIMIT).contract_address
            assert address is not None
            self.nodes.append(EthAddress(address))

    def run(self, to: EthAddress, data: bytes) -> Seen:
        network = self.network
        try:
            receipt = network.send(to, 3, data, gas_limit=GAS_LIMIT)
            exit_, logs = "success", tuple((emitted.address, emitted.log) for emitted in receipt.logs)
        except TransactionFailed as failed:
            exit_, logs = str(failed), ()
        return Seen(exit_, logs, tuple(map(self._state, self.nodes)))

    def _state(self, node: EthAddress) -> tuple[Any, ...]:
        machine = self.network.machine
        actor = machine.actor(to_filecoin(node))
        assert actor is not None
        state = EvmState.decode(machine.store.get(actor.head))
        return state.storage, state.nonce, int(actor.balance)


def run_trees(count: int, seed: int, depth: int = 5) -> Iterator[str]:
    """Run trees; yield a line for each finding."""
    with Network(overlay=with_features(["code-formats"])) as network:
        network.actors.install(forms("Leaf").riscv)
        counter = network.actors.create(network.actors.install(COUNTER.read_bytes()), cbor=b"")
        actor = int.from_bytes(network.address(counter)[12:], "big")
        start = network.snapshot()
        seen: list[list[Seen]] = []
        roots = []
        for mixed in (False, True, True):
            world, rng = World(network, mixed), Random(seed)
            seen.append([])
            for _ in range(count):
                to = rng.choice(world.nodes)
                seen[-1].append(world.run(to, program(rng, world.nodes, actor, depth) + LAST))
            roots.append(network.machine.root)
            network.revert(start)
            start = network.snapshot()
        for number, (model, mixed_, again) in enumerate(zip(*seen, strict=True)):
            for name, left, right in zip(Seen._fields, model, mixed_, strict=True):
                if left != right:
                    yield f"tree {number} of seed {seed}: {name} differs: {left!r:.300} and {right!r:.300}"
            if mixed_ != again:
                yield f"tree {number} of seed {seed}: the replay differs"
        if roots[1] != roots[2]:
            yield f"seed {seed}: the roots of the replay differ"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    findings, start, done, batch = 0, time.monotonic(), 0, 100
    for seed in range(chosen.seed, chosen.seed + -(-chosen.count // batch)):
        for finding in run_trees(batch, seed):
            findings += 1
            print(finding, flush=True)
        done += batch
        print(f"{done} trees, {findings} findings, {time.monotonic() - start:.0f} s", flush=True)
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
