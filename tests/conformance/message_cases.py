"""Message sequences on a state, executed by this machine and the reference, compared, and minimized if they differ."""

import base64
import gzip
import io
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Protocol, Self

from hypervisor.errors import HypervisorError, MessageError
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import StateTree
from hypervisor.types import FIRST_DYNAMIC_ACTOR, ActorID, TokenAmount
from store.blocks.memory import MemoryStore
from store.blockstore import StoreError
from store.car.files import write_car
from store.cid import Cid, show
from store.links import blocks_below
from tests.conformance.oracle_diff import CannotRun, command_of
from tests.conformance.random_messages import Drawn
from tests.conformance.random_states import CHAIN_ID, EPOCH, SUPPLY, TIMESTAMP, Ground, tipsets

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
        """Return the case as a variant of a vector."""
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
    """Return the results of a fresh machine."""
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
    """Return the differences, as sentences."""
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
