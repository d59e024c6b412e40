"""State size of a network over 100,000 epochs, with and without the lab `rent`: the plot of docs/labs/rent.md.

Actors are created at a constant rate, each with a state of some size. A few are used and paid for permanently, most are
abandoned after a while, and some of these are resurrected later. Their states are written directly; the rent actor
executes rent, archiving and resurrection. The measured size is that of the blocks below the actors' heads and the rent
actor's head. It is not a forecast: rate, sizes and lifetimes are assumptions of this module.

python -m lab_tests.rent_simulation --write docs/labs/rent.svg
"""

import sys
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState, archived_actor
from hypervisor.types import ActorID, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor_labs.rent import PAY, RENT, RESURRECT, collect
from lab_tests.rent import EXAMPLE, car
from localnet import Network
from store.cid import DAG_CBOR, RAW, Cid, cid_of
from store.codec import encode, link
from store.links import blocks_below

EPOCHS: Final = 100_000
PACE: Final = 50
"""Number of epochs between two new actors."""
SIZES: Final = (1, 2, 4, 8, 16, 32)
"""State sizes in KiB, equally likely."""
USED_FOR_GOOD: Final = 0.15
LIFE: Final = 8_000
"""Mean number of epochs in which other actors are used."""
RETURNS: Final = 0.05
"""Share of abandoned actors that are resurrected once."""
SAMPLE: Final = 1_000
_CHUNK: Final = 1_024


@dataclass(slots=True)
class Sample:
    """State size in bytes and number of archived actors at an epoch; `without` is the size without archival."""

    epoch: int
    without: int
    with_rent: int
    archived: int


@dataclass(slots=True)
class _Actor:
    actor: ActorID
    blocks: list[tuple[Cid, bytes]]


class Simulation:
    """The actors, and the machine with the rent actor."""

    def __init__(self, seed: int, epochs: int) -> None:
        self._random = Random(seed)
        self._epochs = epochs
        self._network = Network(rules="lab:rent=all/1000000/2880/8640")
        self._network.mine()
        self._machine: Hypervisor = self._network.machine
        self._code = self._machine.install((EXAMPLE / "tenant.wasm").read_bytes())
        self._rich = self._network.accounts[0].native
        self._actors: list[_Actor] = []
        self._returning: dict[int, list[_Actor]] = {}

    def run(self) -> list[Sample]:
        samples = list[Sample]()
        for epoch in range(self._machine.context.epoch + 1, self._epochs + 1):
            self._machine.advance(epoch=ChainEpoch(epoch), base_fee=TokenAmount(100))
            if epoch % PACE == 0:
                self._come(epoch)
            for one in self._returning.pop(epoch, ()):
                self._resurrect(one)
            collect(self._machine)
            if epoch % SAMPLE == 0:
                self._machine.flush()
                samples.append(self._sample(epoch))
        return samples

    def _come(self, epoch: int) -> None:
        """Create an actor with its state, and its payments."""
        size = self._random.choice(SIZES)
        chunks = [self._random.randbytes(_CHUNK) for _ in range(size)]
        blocks = [(cid_of(chunk, RAW), chunk) for chunk in chunks]
        root = encode([link(cid) for cid, _ in blocks])
        blocks.insert(0, (cid_of(root, DAG_CBOR), root))
        self._machine.store.put_many(blocks)
        tree = self._machine.state_tree
        actor = ActorID(tree.init_state().next_id)
        made = self._machine.create(self._code)
        assert made.id == actor
        tree.set_actor(actor, ActorState(self._code, blocks[0][0]))
        used = self._epochs if self._random.random() < USED_FOR_GOOD else int(self._random.expovariate(1 / LIFE))
        one = _Actor(actor, blocks)
        self._actors.append(one)
        if self._random.random() < RETURNS:
            self._returning.setdefault(epoch + used + self._random.randrange(10_000, 40_000), []).append(one)
        collect(self._machine)
        self._send(PAY, [Address.id(actor).to_bytes()], self._rent(blocks) * (used // 2_880 + 1))

    def _resurrect(self, one: _Actor) -> None:
        state = self._machine.state_tree.get_actor(one.actor)
        if state is None or archived_actor(self._machine.store, state) is None:
            return
        proof = car(one.blocks[0][0], one.blocks)
        self._send(RESURRECT, [Address.id(one.actor).to_bytes(), proof], self._rent(one.blocks) * 5)

    def _rent(self, blocks: list[tuple[Cid, bytes]]) -> int:
        return sum(len(data) + 128 for _, data in blocks) * 1_000_000 * 2_880

    def _send(self, method: MethodNumber, fields: list[bytes], value: int) -> None:
        result = self._machine.apply_implicit(
            Message(
                Address.id(RENT), self._rich, value=TokenAmount(value), method=method, params=encode(fields),
                gas_limit=Gas(10**10),
            )
        )  # fmt: skip
        assert result.exit_code == 0, result

    def _sample(self, epoch: int) -> Sample:
        """Measure all blocks of living actors and the heads of archived ones, without code."""
        store, tree = self._machine.store, self._machine.state_tree
        states = [tree.existing(one.actor) for one in self._actors]
        gone = sum(archived_actor(store, state) is not None for state in states)
        heads = [state.head for state in (*states, tree.existing(RENT))]
        size = sum(len(data) for cid, data in blocks_below(store, heads) if cid != self._code)
        return Sample(epoch, sum(len(data) for one in self._actors for _, data in one.blocks), size, gone)


# --- the plot ---------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 320, 60, 20, 120, 40
INK, WITHOUT, WITH = "#555", "#b3541e", "#1f6f8b"
MEGA: Final = 1_000_000


def svg(samples: list[Sample]) -> str:
    """Return a plot of two lines over epochs, in MB."""
    most, last = max(one.without for one in samples), samples[-1].epoch
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if most / MEGA / step <= 6)
    top = (most // MEGA // step + 1) * step

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * epoch / last

    def y(size: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * size / MEGA / top

    def line(values: list[int], colour: str, name: str) -> list[str]:
        points = " ".join(f"{x(one.epoch):.1f},{y(value):.1f}" for one, value in zip(samples, values, strict=True))
        end = f'<text x="{x(last) + 6:.0f}" y="{y(values[-1]) + 4:.1f}" fill="{colour}">{name}</text>'
        return [f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>', end]

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" '
        'font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for mark in range(0, top + 1, step):
        at = y(mark * MEGA)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="{INK}">{mark} MB</text>')
    parts += [
        f'<text x="{x(mark):.1f}" y="{HEIGHT - 18}" text-anchor="middle" fill="{INK}">{mark:,}</text>'
        for mark in range(0, last + 1, 20_000)
    ]
    parts.append(f'<text x="{LEFT - 8}" y="{HEIGHT - 18}" text-anchor="end" fill="{INK}">epochs</text>')
    parts += line([one.without for one in samples], WITHOUT, "without rent")
    parts += line([one.with_rent for one in samples], WITH, "with rent")
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """Run the simulation and return the exit code."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, metavar="SVG", help="where the plot goes")
    chosen = parser.parse_args()
    samples = Simulation(chosen.seed, chosen.epochs).run()
    for one in samples[9::10] or samples:
        print(f"{one.epoch:>8,}  {one.without:>12,}  {one.with_rent:>12,}  {one.archived:>6,} archived")
    if chosen.write is not None:
        chosen.write.write_text(svg(samples), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
