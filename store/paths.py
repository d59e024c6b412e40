"""Paths through state, and proofs of what they lead to.

A path is a sequence of steps from a root: `name` or `7` into a map or list of the data model, and `HAMT5:0x0064`,
`AMT:12`, `KAMT5:0x00` into an advanced layout (`store.layouts`) behind a link. Links are followed wherever a further
step needs it. https://ipld.io/specs/data-model-layer/paths/; steps into layouts are this project's.

A proof is the blocks that resolving the path has read: a holder of the root alone can resolve it again from them, and
whatever is left out or changed is noticed. Absence is proved in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt, StoreError
from store.cid import Cid, has_digest, show
from store.codec import CodecError, decode, kind_of, unlink
from store.layouts import Layout, LayoutError
from store.memory import MemoryStore
from store.recorder import RecordingBlockstore


class PathError(ValueError):
    """Text that is no path, or a step that cannot be taken where the path has come to."""


class PathAbsent(StoreError):
    """There is nothing at a path: `path` leads to where nothing is."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path, steps)
        self.path = path
        self.steps = steps

    def __str__(self) -> str:
        return f"there is nothing at {Path(self.path.steps[: self.steps])}"


class ProofError(StoreError):
    """Blocks that do not prove what they should."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step: into the data model (`layout` None, `key` the text), or into a layout by key."""

    key: str | bytes | int
    layout: str | None = None

    def __str__(self) -> str:
        if self.layout is None:
            return str(self.key).replace("~", "~0").replace("/", "~1")
        return f"{self.layout}:{'0x' + self.key.hex() if isinstance(self.key, bytes) else self.key}"

    @classmethod
    def parse(cls, text: str) -> PathStep:
        """A step from its text; `~1` stands for a slash and `~0` for a tilde in a name. PathError."""
        name, sign, key = text.partition(":")
        if not sign or not name.rstrip("0123456789").isupper():
            return cls(text.replace("~1", "/").replace("~0", "~"))
        try:
            layout = Layout(name)
            return cls(int(key) if layout.is_list else bytes.fromhex(key.removeprefix("0x")), name)
        except ValueError as error:
            raise PathError(f"the step '{text}': {error}") from None


@dataclass(frozen=True, slots=True)
class Path:
    """A sequence of steps."""

    steps: tuple[PathStep, ...] = ()

    def __str__(self) -> str:
        return "/".join(str(step) for step in self.steps)

    def __truediv__(self, step: PathStep) -> Path:
        return Path((*self.steps, step))

    @classmethod
    def parse(cls, text: str) -> Path:
        """A path from its text; slashes at the ends and doubled ones are nothing. PathError."""
        return cls(tuple(PathStep.parse(part) for part in text.split("/") if part))


def resolve(store: Blockstore, root: Cid, path: Path) -> Any:
    """The value at a path; a link at its end stays one.

    Raises PathAbsent, PathError, BlockNotFound (with the link that led there), StoreCorrupt.
    """
    value = load(store, root)
    at = root  # where a layout starts: the block that a link led to
    for number, step in enumerate(path.steps):
        if kind_of(value) == "link":
            at = unlink(value)
            if step.layout is None:
                value = load(store, at)
        elif number and step.layout is not None:
            raise PathError(f"{Path(path.steps[:number])} is not a link, where {step.layout} could begin")
        there, value = _take(store, at, value, step)
        if not there:
            raise PathAbsent(path, number + 1)
    return value


def prove(store: Blockstore, root: Cid, path: Path) -> list[tuple[Cid, bytes]]:
    """The blocks that lead from a root to what is at a path, or show that nothing is there; the root's comes first.

    What a link at the end of the path leads to is not among them. Raises as `resolve` does, but for PathAbsent.
    """
    recorder = RecordingBlockstore(store)
    with suppress(PathAbsent):
        resolve(recorder, root, path)
    return recorder.take()


def verify(root: Cid, path: Path, blocks: Iterable[tuple[Cid, bytes]]) -> Any:
    """What is at a path below a root, as the blocks of a proof show; no store is needed.

    Raises ProofError if they show nothing: a block is missing, is not its CID's, or has nothing to do with it;
    PathAbsent if they show that nothing is there; PathError.
    """
    proof = MemoryStore()
    for cid, data in blocks:
        if not has_digest(cid, data):
            raise ProofError(f"the proof's block {show(cid)} does not have that hash")
        proof.put(cid, data)
    recorder = RecordingBlockstore(proof)
    absent = None
    try:
        value = resolve(recorder, root, path)
    except PathAbsent as nothing:
        absent = nothing
    except BlockNotFound as error:
        raise ProofError(f"the proof lacks the block {show(error.cid)}") from None
    except StoreCorrupt as corrupt:
        raise ProofError(f"the proof holds {corrupt}") from None
    read = recorder.take()
    if len(read) != len(proof):
        raise ProofError(f"{len(proof) - len(read)} blocks of the proof have nothing to do with the path")
    if absent is not None:
        raise absent
    return value


def load(store: Blockstore, cid: Cid) -> Any:
    """The value of a block; StoreCorrupt if it is not DAG-CBOR."""
    try:
        return decode(store.get(cid))
    except CodecError as error:
        raise StoreCorrupt(f"block {show(cid)}: {error}") from None


def _take(store: Blockstore, at: Cid, value: Any, step: PathStep) -> tuple[bool, Any]:
    """Whether there is something one step further, and what."""
    if step.layout is not None:
        assert not isinstance(step.key, str)
        try:
            return Layout(step.layout).get(store, at, step.key)
        except LayoutError as error:
            raise PathError(f"the step '{step}': {error}") from None
    assert isinstance(step.key, str)
    if type(value) is dict:
        return step.key in value, value.get(step.key)
    if type(value) is list:
        if not step.key.isdecimal() or str(int(step.key)) != step.key:
            raise PathError(f"'{step.key}' is not an index into a list")
        index = int(step.key)
        return index < len(value), value[index] if index < len(value) else None
    raise PathError(f"there is no step '{step}' into {'a link' if kind_of(value) == 'link' else kind_of(value)}")
