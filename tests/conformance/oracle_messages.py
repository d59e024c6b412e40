"""Random messages on random states, applied by the reference and by this machine: a recorded run.

python -m tests.conformance.oracle_messages --count 20000 --seed 1

`tests.conformance.random_messages` makes the states and the messages: sequences of up to eight messages
on one state, at each network version from 21 on. Exit code, return value, gas, events root and penalty of each message
and the state root after each sequence must be equal. A sequence that differs is minimized and written to
build/oracle-messages as a vector with the reference's results. Ctrl-C ends the run after the current state, and the
record states the number of messages. Without Rust or the official bundles it prints NOT RUN and returns exit code 2.
"""

import base64
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from types import TracebackType
from typing import Any, Final, Protocol, Self

from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import HypervisorError, MessageError
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import StateTree
from hypervisor.types import FIRST_DYNAMIC_ACTOR, ActorID, TokenAmount
from hypervisor.versions.network_versions import network_version
from store.blocks.memory import MemoryStore
from store.blockstore import StoreError
from store.car.files import write_car
from store.cid import Cid, show
from store.links import blocks_below
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, command_of
from tests.conformance.random_messages import (
    CHAIN_ID,
    EPOCH,
    SUPPLY,
    TIMESTAMP,
    Drawn,
    Ground,
    Messages,
    bundle_actors,
    tipsets,
)
from tests.conftest import bundle_folder
from tests.golden_cases import VERSIONS
from tests.harness.paths import PROJECT
from tests.harness.recorded import RunRecord, finish, options

Answers = dict[str, Any]
"""Receipts and the final state root as printed by `oracle run`, without the reference's error texts."""

REFUSED: Final = "refused"
"""Complete receipt of a rejected message."""


@dataclass(frozen=True, slots=True)
class MessageCase:
    """Messages on a state; `blocks` are the blocks missing from the base state's bundle."""

    name: str
    ground: Ground
    base_fee: int
    root: Cid
    blocks: Mapping[Cid, bytes]
    messages: tuple[Drawn, ...]

    def variant(self) -> dict[str, Any]:
        number = self.ground.network.number
        return {"id": self.name, "epoch": EPOCH, "nv": number, "apply_messages": [*map(_written, self.messages)]}

    def actors(self) -> list[int]:
        """Return the IDs of actors other than those of every genesis."""
        return [actor for actor, _ in _tree(self)[1].actors() if actor >= FIRST_DYNAMIC_ACTOR]


def vector_of(cases: list[MessageCase], name: str) -> dict[str, Any]:
    """Return cases of one state as a vector without expected results."""
    first = cases[0]
    car = io.BytesIO()
    write_car(car, [first.root], first.blocks.items())
    return {
        "class": "message",
        "_meta": {"id": name, "gen": []},
        "bundle": {"/": show(first.ground.bundle.root)},
        "car": base64.b64encode(gzip.compress(car.getvalue(), 1, mtime=0)).decode(),
        "tipsets": tipsets(),
        "proofs": "accept",
        "consensus_fault": None,
        "preconditions": {
            "variants": [case.variant() for case in cases],
            "timestamp": TIMESTAMP,
            "chain_id": CHAIN_ID,
            "basefee": first.base_fee,
            "circ_supply": SUPPLY,
            "state_tree": {"root_cid": {"/": show(first.root)}},
        },
    }


def _written(drawn: Drawn) -> dict[str, Any]:
    data = base64.b64encode(drawn.message.to_cbor()).decode()
    return {"bytes": data, **({"implicit": True} if drawn.length is None else {"raw_length": drawn.length})}


# --- answers ----------------------------------------------------------------------------------------------------------


def receipt_of(machine: Hypervisor, drawn: Drawn) -> dict[str, Any]:
    """Apply a message and return its receipt as printed by `oracle run`."""
    try:
        if drawn.length is None:
            result = machine.apply_implicit(drawn.message)
        else:
            result = machine.apply(drawn.message, drawn.length)
    except MessageError:
        return {REFUSED: True}
    return _receipt(result)


def _receipt(result: ApplyResult) -> dict[str, Any]:
    events = result.receipt.events_root
    return {
        "exit_code": int(result.exit_code),
        "return": base64.b64encode(result.return_data).decode(),
        "gas_used": result.gas_used,
        "events_root": {"/": show(events)} if events else None,
        "penalty": str(result.gas.miner_penalty),
    }


def answers_of(receipts: Iterable[Mapping[str, Any]], root: Cid) -> Answers:
    """Return a machine's results of a case."""
    return {"receipts": [*receipts], "state_tree": {"root_cid": {"/": show(root)}}}


def our_answers(case: MessageCase) -> Answers:
    machine = case.ground.machine_at(case.root, case.blocks, case.base_fee)
    try:
        receipts = [receipt_of(machine, drawn) for drawn in case.messages]
        return answers_of(receipts, machine.root)
    except (HypervisorError, StoreError) as error:
        return {"raised": f"{type(error).__name__}: {error}"}


class VectorExecutor(Protocol):
    """Executes vectors: the reference, or in tests a machine that replaces it."""

    def ask(self, vector: Mapping[str, Any]) -> None:
        """Submit a vector."""

    def answers(self) -> list[Answers]:
        """Return the results of the variants of the last submitted vector."""


class Reference:
    """The process of tests/oracle; Ctrl-C does not interrupt it. Raises CannotRun if it is missing or ends."""

    def __init__(self) -> None:
        command = [*command_of("run"), "--on-request"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def ask(self, vector: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(vector).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def answers(self) -> list[Answers]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return [_without_words(one["postconditions"]) for one in json.loads(line)]

    def _ended(self) -> CannotRun:
        return CannotRun(f"tests/oracle ended with {self._process.wait()}; its words stand above")


def _without_words(after: Answers) -> Answers:
    receipts = [
        {REFUSED: True} if REFUSED in one else {name: value for name, value in one.items() if name != "words"}
        for one in after["receipts"]
    ]
    return {**after, "receipts": receipts}


def differences(ours: Answers, theirs: Answers) -> Iterator[str]:
    if "raised" in ours:
        yield f"this machine ends with {ours['raised']}"
        return
    for number, (mine, other) in enumerate(zip(ours["receipts"], theirs["receipts"], strict=True)):
        for name in sorted({*mine, *other}):
            if mine.get(name) != other.get(name):
                yield f"message {number}: {name} {_short(mine.get(name))}, of the reference {_short(other.get(name))}"
    if ours["state_tree"] != theirs["state_tree"]:
        yield "another state root"


def _short(value: Any) -> str:
    return "none" if value is None else str(value)[:120]


# --- small cases ------------------------------------------------------------------------------------------------------


def smaller(case: MessageCase, differs: Callable[[MessageCase], bool]) -> MessageCase:
    """Return the case without messages, actors and fields that the difference does not need."""
    for number in reversed(range(len(case.messages))):
        without = case.messages[:number] + case.messages[number + 1 :]
        if without and differs(shorter := replace(case, messages=without)):
            case = shorter
    for changed in _plainer(case):
        if differs(changed):
            case = changed
    for actor in case.actors():
        if differs(without_actor := _without(case, actor)):
            case = without_actor
    return case


def _plainer(case: MessageCase) -> Iterator[MessageCase]:
    """Return the case with zero value and no parameters in the messages from this index on."""
    for number, drawn in enumerate(case.messages):
        for plain in (replace(drawn.message, value=TokenAmount(0)), replace(drawn.message, params=b"")):
            messages = list(case.messages)
            messages[number] = replace(drawn, message=plain)
            yield replace(case, messages=tuple(messages))


def _tree(case: MessageCase) -> tuple[MemoryStore, StateTree]:
    store = MemoryStore()
    store.put_many(case.ground.bundle.blocks)
    store.put_many(case.blocks.items())
    return store, StateTree(store, case.root)


def _without(case: MessageCase, actor: int) -> MessageCase:
    store, tree = _tree(case)
    tree.delete_actor(ActorID(actor))
    root = tree.flush()
    theirs = {cid for cid, _ in case.ground.bundle.blocks}
    blocks = {cid: data for cid, data in blocks_below(store, [root]) if cid not in theirs}
    return replace(case, root=root, blocks=blocks)


SEQUENCES: Final = 20
LONGEST: Final = 8
"""Number of sequences per state, and maximum number of their messages."""
BASE_FEES: Final = (0, 100, 100, 10**9)
FOUND: Final = PROJECT / "build" / "oracle-messages"
MAX_FINDINGS: Final = 20
"""Maximum number of findings before the run stops: that many differences have the same cause."""


@dataclass(slots=True)
class Tally:
    messages: int = 0
    executed: int = 0
    succeeded: int = 0
    roots: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    exit_codes: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    succeeded_kinds: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, case: MessageCase, answers: Answers) -> None:
        self.roots += 1
        for drawn, receipt in zip(case.messages, answers["receipts"], strict=True):
            code = -1 if REFUSED in receipt else receipt["exit_code"]
            kind = drawn.kind.split()[0] if drawn.length is None else drawn.kind
            self.messages += 1
            self.versions[f"nv{case.ground.network.number}"] += 1
            self.exit_codes[code] += 1
            self.kinds[kind] += 1
            self.succeeded_kinds[kind] += code == 0
            self.executed += code >= 0 and receipt["gas_used"] > 0
            self.succeeded += code == 0


class Run:
    """Both machines at every network version."""

    def __init__(self, reference: VectorExecutor, versions: tuple[int, ...] = VERSIONS) -> None:
        self.reference, self.versions = reference, versions
        self._bundles = {path.stem: path for path in sorted(bundle_folder().glob("*.car"))}
        self._grounds: dict[int, Ground] = {}
        self._is_ending = False

    def end(self) -> None:
        """Stop requesting messages."""
        self._is_ending = True

    def ground(self, version: int) -> Ground:
        if version not in self._grounds:
            network = network_version(version)
            actors = bundle_actors(network)
            path = self._bundles.get(f"v{actors}-mainnet") or self._bundles.get(f"v{actors}-testing-fake-proofs")
            if path is None:
                raise CannotRun(f"no bundle of actors v{actors} is among the test data")
            self._grounds[version] = Ground(network, Bundle.from_file(path))
        return self._grounds[version]

    def messages(self, count: int, seed: int, tally: Tally) -> None:
        """Compare at least `count` messages; stop early with too many findings."""
        requests: list[tuple[MessageCase, Answers]] = []
        index = drawn = 0
        while drawn < count and len(tally.findings) < MAX_FINDINGS and not self._is_ending:
            version = self.versions[index % len(self.versions)]
            cases = answered_cases(self.ground(version), f"{seed}:{index}")
            self._compare(requests, tally)  # while this machine worked, so did the reference
            self.reference.ask(vector_of([case for case, _ in cases], f"{seed}:{index}"))
            requests = cases
            drawn += sum(len(case.messages) for case, _ in cases)
            index += 1
        self._compare(requests, tally)

    def _compare(self, asked: list[tuple[MessageCase, Answers]], tally: Tally) -> None:
        if not asked:
            return
        different = []
        for (case, ours), theirs in zip(asked, self.reference.answers(), strict=True):
            tally.add(case, theirs)
            different += [(case, words)] if (words := [*differences(ours, theirs)]) else []
        for case, words in different:
            tally.findings.append(self.finding(case, words))

    def finding(self, case: MessageCase, words: list[str]) -> str:
        """Minimize a differing case, write it to a file, and return a description."""
        if not self.differ(case):
            return f"{case.name} differs only after others on its state: {'; '.join(words)}"
        small = smaller(case, lambda one: bool(self.differ(one)))
        FOUND.mkdir(parents=True, exist_ok=True)
        vector = vector_of([small], small.name)
        vector["preconditions"]["variants"][0]["postconditions"] = self.their_answers(small)
        file = FOUND / f"{small.name.replace(':', '-')}.json"
        file.write_text(json.dumps(vector, indent=1), encoding="utf-8")
        kinds = ", ".join(drawn.kind for drawn in small.messages)
        return f"nv{case.ground.network.number} {case.name} ({kinds}): {'; '.join(self.differ(small))[:600]}"

    def differ(self, case: MessageCase) -> list[str]:
        return [*differences(our_answers(case), self.their_answers(case))]

    def their_answers(self, case: MessageCase) -> Answers:
        self.reference.ask(vector_of([case], case.name))
        (results,) = self.reference.answers()
        return results


def answered_cases(ground: Ground, name: str) -> list[tuple[MessageCase, Answers]]:
    """Return random message sequences on one state, with this machine's results."""
    random = Random(name)
    base_fee = random.choice(BASE_FEES)
    world = ground.world(random, base_fee)
    before = world.machine.snapshot()
    cases = []
    for number in range(SEQUENCES):
        world.machine.restore(before)
        messages, receipts, drawn = Messages(random, world), [], list[Drawn]()
        try:
            for _ in range(random.randint(1, LONGEST)):
                drawn.append(messages.next())
                receipts.append(receipt_of(world.machine, drawn[-1]))
            results = answers_of(receipts, world.machine.root)
        except (HypervisorError, StoreError) as error:
            results = {"raised": f"{type(error).__name__}: {error}"}
        cases.append(
            (MessageCase(f"{name}:{number}", ground, base_fee, world.root, world.blocks, tuple(drawn)), results)
        )
    return cases


def main() -> int:
    """Return the exit code of the recorded run."""
    chosen = options(__doc__, 20_000).parse_args()
    started = time.monotonic()
    tally = Tally()
    try:
        with Reference() as reference:
            run = Run(reference)
            before = signal.signal(signal.SIGINT, lambda *_: run.end())
            run.messages(chosen.count, chosen.seed, tally)
            signal.signal(signal.SIGINT, before)
            seconds = time.monotonic() - started
    except CannotRun as lack:
        print(f"NOT RUN: {lack}")
        return NOT_RUN
    return finish(_record(chosen.seed, tally, seconds), chosen, started)


def _record(seed: int, tally: Tally, seconds: float) -> RunRecord:
    """Return the record of a run; shares by kind count the messages with exit code 0."""
    stages = {"applied by both": tally.messages, "executed": tally.executed, "succeeded": tally.succeeded}
    details = {
        "messages by network version": dict(sorted(tally.versions.items())),
        "messages by exit code, -1: refused": dict(sorted(tally.exit_codes.items())),
        "messages by kind, and how many succeeded": {
            kind: [number, tally.succeeded_kinds[kind]] for kind, number in sorted(tally.kinds.items())
        },
        "state roots compared": tally.roots,
        "messages a second": round(tally.messages / seconds, 1),
        "messages a second of processor time": round(tally.messages / sum(os.times()[:4]), 1),
    }
    return RunRecord(seed, tally.messages, stages, tally.findings, details)


if __name__ == "__main__":
    sys.exit(main())
