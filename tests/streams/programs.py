"""Random programs at the reward actor of nv29.

- Random programs of governance, awards and claims: what they do to the streams, and what must hold after each
  message.
- The published crate of the reward actor's state, asked about streams: a Rust program in `oracle/`.

A program is its seed. It begins with the miners' stream alone and a timelock of a few epochs; its messages are mostly
such as f02 takes, some are refused. `Play.findings` says what did not hold: an invariant (`invariants`), money that
came or went (minted = miners + burnt + owed + paid), a refusal that changed something, an exit code that no message
may have.

It is built where there is Rust, and says of a block of streams with its accruals whether the invariants hold at an
epoch, and what is owed.
"""

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final

from bridge.bindings import reward as methods
from hypervisor import Address
from hypervisor.types import ActorID, decode_bigint
from store.codec import encode
from tests.streams.states import (
    AUTHORITY,
    MINER,
    NO_ACTOR,
    ONE_WRITER,
    OTHER_WRITER,
    RECIPIENT,
    WHOLE,
    Block,
    RewardState,
    Stage,
    broken,
    id_bytes,
    liability,
    number,
    stage,
    weight_at,
)

STEPS: Final = 30
RECIPIENTS: Final = tuple(range(RECIPIENT, RECIPIENT + 8))
IDS: Final = range(1, 12)
MINERS_STREAM: Final = 1
_EXITS: Final = (0, 16, 17, 18, 21)
_MALFORMED: Final = (b"", b"\xff", b"\x80", encode([0]), encode([2, 3, 4, 5, 6]), encode({"id": 2}))


@dataclass(slots=True)
class Play:
    """Results of a program. `asked` holds epoch, accruals, streams and liability after each message, for the oracle."""

    seed: int
    findings: list[str] = field(default_factory=list)
    exits: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[int, bytes, bytes, int]] = field(default_factory=list)
    accrued: bool = False
    paid: int = 0


def play(seed: int) -> Play:
    with stage() as at:
        program = Program(at, Random(seed))
        program.run()
        program.found.seed = seed
        return program.found


class Program:
    def __init__(self, at: Stage, rng: Random) -> None:
        self.at, self.rng, self.found = at, rng, Play(0)
        weight = rng.choice([WHOLE, WHOLE * 3 // 10, WHOLE // 2, WHOLE // 2])
        slope = rng.choice([0, 0, -(10**15), -7])
        first = [weight, slope, at.epoch, weight // 2 if slope else weight, weight]
        self.reward = rng.choice([20, 7_000_003, 36 * 10**18 + 1])
        balance = rng.choice([10**27] * 4 + [self.reward * 3 + rng.randrange(20)])
        streams: list[Any] = [[MINERS_STREAM, first, None]]
        accrued: list[Any] = []
        if rng.random() < 0.6:
            weight = min(WHOLE - weight, WHOLE // 4)
            map_ = sorted((row for row in self._whole() if row[0] != id_bytes(99)), key=lambda row: number(row[0]))
            streams.append([2, [weight, 0, 0, weight, weight], [id_bytes(ONE_WRITER), map_, [], []]])
            accrued.append([2, b""])
        at.put([streams, [], []], accrued, self.reward, timelock=rng.randrange(4), balance=balance)
        self.miners, self.burnt, self.wallets = at.balance(MINER), at.burnt(), self._wallets()
        self.tips = 0

    def run(self) -> None:
        for _ in range(STEPS):
            action = self.rng.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]
            action(self)
            if self.found.findings:
                return
        self.settle()

    def settle(self) -> None:
        """Whatever is owed can be claimed, but for less than an attoFIL for each share."""
        block = self._block()
        for id_, wallets in [
            *((id_, [wallet for wallet, _ in (*one[1], *one[2])]) for id_, one in block.explicit()),
            *((id_, [wallet for wallet, _ in rows]) for id_, rows in block.tombstones),
        ]:
            self.send(RECIPIENT, methods.CLAIM, encode([id_, sorted(set(wallets), key=number)[:64]]))
        block = self._block()
        shares = sum(len(one[1]) for _, one in block.explicit())
        if liability(block) > shares:
            self.found.findings.append(
                f"claims: {liability(block)} attoFIL are owed after all of them, to {shares} shares"
            )

    # --- messages ---------------------------------------------------------------------------------------------

    def send(self, sender: int, method: int, params: bytes) -> None:
        """A message, and what must hold after it."""
        head = self.at.head()
        applied = self.at.send(sender, method, params)
        self.found.exits[f"{method} {applied.exit_code}"] += 1
        if applied.exit_code not in _EXITS:
            self._find(f"method {method} ends with {applied.exit_code}: {applied.message}")
        if applied.exit_code and self.at.head() != head:
            self._find(f"method {method} is refused and changes the state")
        self._check(self.at.state())

    def _check(self, now: RewardState) -> None:
        for name in broken(now.streams, now.accrued, self.at.epoch):
            self._find(f"invariant: {name}")
        owed = liability(Block(now.streams, now.accrued))
        self.found.asked.append((self.at.epoch, now.accrued_cbor, now.streams_cbor, owed))
        self.found.accrued |= any(decode_bigint(amount) for _, amount in now.accrued)
        self.found.paid = self._wallets() - self.wallets
        miners, burnt = self.at.balance(MINER) - self.miners - self.tips, self.at.burnt() - self.burnt
        if now.minted != miners + burnt + owed + self.found.paid:
            self._find(
                f"money: {now.minted} minted, {miners} miners, {burnt} burnt, {owed} owed, {self.found.paid} paid"
            )
        if now.burnt + now.explicit > now.minted:
            self._find(f"counters: {now.burnt} and {now.explicit} of {now.minted}")

    def _find(self, words: str) -> None:
        self.found.findings.append(words)

    def _wallets(self) -> int:
        return sum(map(self.at.balance, RECIPIENTS))

    # --- actions ----------------------------------------------------------------------------------------------

    def award(self) -> None:
        gas = self.rng.choice([0, 0, 5, 10**9])
        self.at.credit(gas)
        self.tips += gas
        wins = self.rng.choice([1, 1, 1, 2, 5])
        call = methods.award_block_reward(Address.id(ActorID(MINER)), 0, gas, wins)
        self.send(0, call.method, call.params)

    def advance(self) -> None:
        self.at.epoch = self.at.epoch + self.rng.randrange(1, 5)

    def set_weights(self) -> None:
        self._weights(methods.SET_WEIGHT_RECORDS)

    def step_weights(self) -> None:
        self._weights(methods.STEP_WEIGHT_RECORDS)

    def _weights(self, method: int) -> None:
        streams = self._block().streams
        chosen = self.rng.sample(streams, min(len(streams), self.rng.randrange(1, 3))) or [[2]]
        others = sum(one[1][4] for one in streams if one not in chosen)
        most = max(0, WHOLE - others) // len(chosen)
        self._govern(method, [[[one[0], self._weight(most)] for one in chosen]])

    def _weight(self, most: int) -> list[int]:
        """A record whose cap is at most so much; one in ten goes beyond."""
        cap = self.rng.randrange(most + 1) if most else 0
        if self.rng.random() < 0.1:
            cap = min(WHOLE + 1, cap + self.rng.randrange(WHOLE))
        floor = self.rng.randrange(cap + 1)
        start = self.rng.choice([floor, cap, self.rng.randrange(floor, cap + 1)])
        slope = self.rng.choice([0, 0, 1, -1, 10**15, -(10**15), (1 << 63) - 1, -(1 << 63)])
        return [start, slope, self.at.epoch + self.rng.randrange(20), floor, cap]

    def register(self) -> None:
        block = self._block()
        room = WHOLE - sum(one[1][4] for one in block.streams)
        if room < WHOLE // 20 and self.rng.random() < 0.7:
            self._govern(methods.SET_WEIGHT_RECORDS, [[[one[0], self._narrow(one[1])] for one in block.streams]])
            return
        first = None if self.rng.random() < 0.1 else [id_bytes(self._writer()), self._shares()]
        id_ = self.rng.choice([i for i in IDS if not any(one[0] == i for one in block.streams)] or [1])
        if self.rng.random() < 0.1:
            id_ = self.rng.choice([0, MINERS_STREAM, 2])
        activation = self.at.epoch + self.rng.randrange(8)
        self._govern(methods.REGISTER_STREAM, [id_, self._weight(max(0, room)), first, activation])

    def _narrow(self, record: list[int]) -> list[int]:
        half = weight_at(record, self.at.epoch) // 2
        return [half, 0, self.at.epoch, half, half]

    def remove(self) -> None:
        self._govern(methods.REMOVE_STREAM, [self._id()])

    def set_distribution(self) -> None:
        self._govern(methods.SET_DISTRIBUTION, [self._id(), id_bytes(self._writer())])

    def cancel(self) -> None:
        pending = self._block().pending
        id_, op = self.rng.choice(pending)[:2] if pending else (2, 2)
        self._govern(methods.CANCEL_PENDING, [id_, op if self.rng.random() < 0.9 else 5])

    def set_shares(self) -> None:
        id_, writer, _ = self._explicit()
        self._write(writer, methods.SET_SHARES, [id_, self._shares()])

    def replace(self) -> None:
        id_, writer, shares = self._explicit()
        old = self.rng.choice(shares)[0] if shares and self.rng.random() < 0.8 else id_bytes(RECIPIENTS[0])
        heir = self.rng.choice([*RECIPIENTS, 99])
        self._write(writer, methods.REPLACE_ADDRESS, [id_, old, id_bytes(heir)])

    def claim(self) -> None:
        block = self._block()
        ids = [one[0] for one in (*block.streams, *block.tombstones) if one[0] != MINERS_STREAM]
        wallets = [self.rng.choice([*RECIPIENTS, *RECIPIENTS, NO_ACTOR, 99]) for _ in range(self.rng.randrange(9))]
        id_ = self.rng.choice(ids) if ids and self.rng.random() < 0.9 else self._id()
        self._write(self.rng.choice(RECIPIENTS), methods.CLAIM, [id_, [id_bytes(one) for one in wallets]])

    # --- parts ------------------------------------------------------------------------------------------------

    def _govern(self, method: int, params: list[Any]) -> None:
        self._write(AUTHORITY if self.rng.random() < 0.96 else RECIPIENT, method, params)

    def _write(self, sender: int, method: int, params: list[Any]) -> None:
        data = encode(params) if self.rng.random() < 0.97 else self.rng.choice(_MALFORMED)
        self.send(sender, method, data)

    def _block(self) -> Block:
        now = self.at.state()
        return Block(now.streams, now.accrued)

    def _id(self) -> int:
        ids = [id_ for id_, _ in self._block().explicit()] * 8
        return int(self.rng.choice([*ids, *IDS]))

    def _writer(self) -> int:
        return self.rng.choice([ONE_WRITER, OTHER_WRITER])

    def _explicit(self) -> tuple[int, int, list[Any]]:
        """An explicit stream: id, a sender that mostly is its writer, shares."""
        found = list(self._block().explicit())
        if not found or self.rng.random() < 0.05:
            return self._id(), self._writer(), []
        id_, (writer, shares, _, _) = self.rng.choice(found)
        return id_, number(writer) if self.rng.random() < 0.95 else self._writer(), shares

    def _whole(self) -> list[list[Any]]:
        wallets = self.rng.sample(RECIPIENTS, self.rng.randrange(1, 6))
        cuts = sorted(self.rng.sample(range(1, WHOLE), len(wallets) - 1))
        parts = [after - before for before, after in zip([0, *cuts], [*cuts, WHOLE], strict=True)]
        return [[id_bytes(wallet), part] for wallet, part in zip(wallets, parts, strict=True)]

    def _shares(self) -> list[list[Any]]:
        """A map, which in one of eight cases cannot be."""
        rows = self._whole()
        match self.rng.randrange(24):
            case 0:
                rows[0][1] += self.rng.choice([-1, 1])
            case 1:
                rows[0][0] = id_bytes(NO_ACTOR)
            case 2:
                rows.append(rows[0])
            case 3 | 4 | 5:
                rows[0][0] = id_bytes(99)
            case _:
                pass
        return rows


_ACTIONS: Final[dict[Callable[[Program], None], int]] = {
    Program.award: 30,
    Program.advance: 22,
    Program.register: 14,
    Program.set_weights: 6,
    Program.step_weights: 4,
    Program.remove: 4,
    Program.set_distribution: 3,
    Program.cancel: 3,
    Program.set_shares: 12,
    Program.replace: 7,
    Program.claim: 15,
}


_FOLDER: Final = Path(__file__).parent / "oracle"
_PROGRAM: Final = _FOLDER / "target" / "release" / "streams-oracle"

Question = tuple[int, bytes, bytes]
"""An epoch, the CBOR of the accruals and that of the block of streams."""


@lru_cache(maxsize=1)
def build() -> str | None:
    """Build the program where it must be; why it cannot be asked, None where it can."""
    if shutil.which("cargo") is None:
        return f"there is no Rust here: install the toolchain that {_FOLDER.name}/rust-toolchain.toml names"
    built = subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=_FOLDER, check=False)
    return f"{_FOLDER.name} could not be built" if built.returncode else None


def ask(questions: Sequence[Question]) -> list[str]:
    """An answer for each: `valid` and what is owed in attoFIL, or `broken` and why."""
    lines = "".join(f"{epoch} {accrued.hex()} {streams.hex()}\n" for epoch, accrued, streams in questions)
    done = subprocess.run([_PROGRAM], input=lines, capture_output=True, text=True, check=True)
    results = done.stdout.splitlines()
    assert len(results) == len(questions), "an answer for each question"
    return results
