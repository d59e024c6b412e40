"""Paths through a state, the trees that they can open, and Merkle proofs of the values at paths.

A path is a sequence of steps from a root: `name` or `7` into a map or list of the data model, and `HAMT5:0x0064`,
`AMT:12`, `KAMT5:0x00` into an advanced layout behind a link. Links are followed when a further step needs it. See
https://ipld.io/specs/data-model-layer/paths/; the steps into layouts are an extension of this project.

The advanced layouts are HAMT1 to HAMT8, AMT and KAMT5, with one interface for lookups and iteration. Keys are bytes for
the maps and an index for the array. Schemas (`advanced HAMT5`), paths and selectors use these names. A digit after AMT
is the bit width that its root must have.

A proof consists of the blocks read while resolving a path. A verifier who knows only the root resolves the path again
from them, and detects any missing or modified block. Absence is proved in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from store.blocks.memory import MemoryStore, RecordingBlockstore
from store.blockstore import BlockNotFound, Blockstore, StoreCorrupt, StoreError
from store.cid import Cid, has_digest, show
from store.codec import CodecError, decode, kind_of, unlink
from store.trees.amt import MAX_INDEX, Amt
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from store.trees.nodes import MISSING

_NAME: Final = re.compile(r"(HAMT)([1-8])|(AMT)([1-8])?|(KAMT)5")


class LayoutError(ValueError):
    """Raised for an unknown layout, or for a key of the wrong type or length."""


class Layout:
    """An advanced layout by name. Raises LayoutError for an unknown name."""

    def __init__(self, name: str) -> None:
        match = _NAME.fullmatch(name)
        if match is None:
            raise LayoutError(f"unknown layout '{name}': expected HAMT1 to HAMT8, AMT or KAMT5")
        self.name = name
        self._kind = match[1] or match[3] or match[5]
        width = match[2] or match[4]
        self._width = None if width is None else int(width)

    @property
    def is_list(self) -> bool:
        """True if keys are indices and not bytes."""
        return self._kind == "AMT"

    def get(self, store: Blockstore, root: Cid, key: bytes | int) -> tuple[bool, Any]:
        """Return whether there is an entry, and its value.

        Raises LayoutError, BlockNotFound and TreeNodeError.
        """
        if isinstance(key, int):
            if not self.is_list:
                raise LayoutError(f"keys of {self.name} must be bytes, not numbers")
            if not 0 <= key <= MAX_INDEX:
                return False, None
            array = self._amt(store, root)
            return (key in array), array.get(key)
        if self.is_list:
            raise LayoutError(f"keys of {self.name} must be numbers, not bytes")
        if self._kind == "KAMT":
            return self._get_slot(store, root, key)
        tree = Hamt(store, root, self._bits)
        return (key in tree), tree.get(key)

    def items(
        self, store: Blockstore, root: Cid, after: bytes | int | None = None
    ) -> Iterator[tuple[bytes | int, Any]]:
        """Iterate over the entries in the order of the layout; with `after`, only those that follow this key.

        The key `after` need not be present. Raises LayoutError for a key of the wrong type.
        """
        if after is not None and isinstance(after, int) is not self.is_list:
            raise LayoutError(f"keys of {self.name} must be {'numbers' if self.is_list else 'bytes'}")
        if isinstance(after, int) or self.is_list:
            yield from self._amt(store, root).items(0 if after is None else int(after) + 1)
        elif self._kind == "HAMT":
            yield from Hamt(store, root, self._bits).items(after)
        else:
            for key, value in Kamt(store, root).items(0 if after is None else int.from_bytes(after, "big") + 1):
                yield _slot_bytes(key, 32), _slot_bytes(value)

    def differences(self, store: Blockstore, before: Cid, after: Cid) -> Iterator[tuple[bytes | int, Any, Any]]:
        """Iterate over (key, old value, new value) where two roots differ; an absent value is MISSING.

        Shared subtrees are not read.
        """
        if self.is_list:
            yield from self._amt(store, before).differences(self._amt(store, after))
        elif self._kind == "HAMT":
            yield from Hamt(store, before, self._bits).differences(Hamt(store, after, self._bits))
        else:
            for key, old, new in Kamt(store, before).differences(Kamt(store, after)):
                before_value, after_value = (MISSING if value == 0 else _slot_bytes(value) for value in (old, new))
                yield _slot_bytes(key, 32), before_value, after_value

    @property
    def _bits(self) -> int:
        return self._width or 5

    def _amt(self, store: Blockstore, root: Cid) -> Amt:
        return Amt(store, root, self._width)

    def _get_slot(self, store: Blockstore, root: Cid, key: bytes) -> tuple[bool, Any]:
        if len(key) > 32:
            raise LayoutError(f"keys of {self.name} must have at most 32 bytes, not {len(key)}")
        value = Kamt(store, root).get(int.from_bytes(key, "big"))
        return bool(value), _slot_bytes(value or 0)


def _slot_bytes(number: int, length: int | None = None) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8 if length is None else length, "big")


class PathError(ValueError):
    """Raised for an invalid path, or for a step that does not apply to the value reached."""


class PathAbsent(StoreError):
    """Raised when there is no value at a path; `steps` is the number of steps up to the missing one."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path, steps)
        self.path = path
        self.steps = steps

    def __str__(self) -> str:
        return f"no value at {Path(self.path.steps[: self.steps])}"


class ProofError(StoreError):
    """Raised when blocks do not prove the requested value."""


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
        """Parse a step; in a name, `~1` stands for a slash and `~0` for a tilde. Raises PathError."""
        name, sign, key = text.partition(":")
        if not sign or not name.rstrip("0123456789").isupper():
            return cls(text.replace("~1", "/").replace("~0", "~"))
        try:
            layout = Layout(name)
            return cls(int(key) if layout.is_list else bytes.fromhex(key.removeprefix("0x")), name)
        except ValueError as error:
            raise PathError(f"invalid path step '{text}': {error}") from None


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
        """Parse a path; leading, trailing and repeated slashes are ignored. Raises PathError."""
        return cls(tuple(PathStep.parse(part) for part in text.split("/") if part))


def resolve(store: Blockstore, root: Cid, path: Path) -> Any:
    """Return the value at a path; a link at its end is not followed.

    Raises PathAbsent, PathError, BlockNotFound and StoreCorrupt.
    """
    value = load(store, root)
    at = root  # root block of a layout: the block that the last link led to
    for number, step in enumerate(path.steps):
        if kind_of(value) == "link":
            at = unlink(value)
            if step.layout is None:
                value = load(store, at)
        elif number and step.layout is not None:
            raise PathError(f"{Path(path.steps[:number])} is not a link, so it cannot be the root of a {step.layout}")
        there, value = _take(store, at, value, step)
        if not there:
            raise PathAbsent(path, number + 1)
    return value


def prove(store: Blockstore, root: Cid, path: Path) -> list[tuple[Cid, bytes]]:
    """Return the blocks that prove the value at a path, or its absence; the root's block comes first.

    A link at the end of the path is not followed. Raises the same errors as `resolve`, except PathAbsent.
    """
    recorder = RecordingBlockstore(store)
    with suppress(PathAbsent):
        resolve(recorder, root, path)
    return recorder.take()


def verify(root: Cid, path: Path, blocks: Iterable[tuple[Cid, bytes]]) -> Any:
    """Return the value at a path below `root`, as proved by `blocks`, without a store.

    Raises ProofError if a block is missing, does not match its CID or is not needed, PathAbsent if the blocks prove
    that there is no value, and PathError.
    """
    proof = MemoryStore()
    for cid, data in blocks:
        if not has_digest(cid, data):
            raise ProofError(f"block {show(cid)} of the proof does not match its hash")
        proof.put(cid, data)
    recorder = RecordingBlockstore(proof)
    absent = None
    try:
        value = resolve(recorder, root, path)
    except PathAbsent as nothing:
        absent = nothing
    except BlockNotFound as error:
        raise ProofError(f"block {show(error.cid)} is missing from the proof") from None
    except StoreCorrupt as corrupt:
        raise ProofError(f"invalid proof: {corrupt}") from None
    read = recorder.take()
    if len(read) != len(proof):
        raise ProofError(f"{len(proof) - len(read)} blocks of the proof are not part of the path")
    if absent is not None:
        raise absent
    return value


def load(store: Blockstore, cid: Cid) -> Any:
    """Return the decoded value of a block. Raises StoreCorrupt if it is not DAG-CBOR."""
    try:
        return decode(store.get(cid))
    except CodecError as error:
        raise StoreCorrupt(f"block {show(cid)}: {error}") from None


def _take(store: Blockstore, at: Cid, value: Any, step: PathStep) -> tuple[bool, Any]:
    """Take one step; return whether there is a value, and the value."""
    if step.layout is not None:
        assert not isinstance(step.key, str)
        try:
            return Layout(step.layout).get(store, at, step.key)
        except LayoutError as error:
            raise PathError(f"invalid path step '{step}': {error}") from None
    assert isinstance(step.key, str)
    if type(value) is dict:
        return step.key in value, value.get(step.key)
    if type(value) is list:
        if not step.key.isdecimal() or str(int(step.key)) != step.key:
            raise PathError(f"'{step.key}' is not an index into a list")
        index = int(step.key)
        return index < len(value), value[index] if index < len(value) else None
    raise PathError(f"step '{step}' does not apply to a value of kind {kind_of(value)}")
