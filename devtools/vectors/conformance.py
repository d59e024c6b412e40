"""Runs message vectors, the official ones and this project's golden ones, and compares everything that they state.

A vector is a JSON object: a CAR of the state before, messages, their receipts and the state root after them. Official
ones are a file each; golden ones (tests/golden) stand one a line in a compressed file. The world around a vector is
`devtools.vectors.world`'s; official bundles are data of the caller.
"""

import base64
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.vectors.bundles import BundleFolder
from devtools.vectors.files import files_of
from devtools.vectors.world import ReplayExterns, context_of, proofs_of, read_number
from hypervisor.address import Protocol
from hypervisor.errors import InvalidInput, MessageError
from hypervisor.executor import ApplyResult
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.network_versions import network_version
from hypervisor.opening import AUTO
from hypervisor.state_tree import StateTree
from hypervisor.tracing import Tracer
from hypervisor.types import SYSTEM_ACTOR
from hypervisor.user_files import read_bounded
from store.blockstore import Store, StoreError, get_object
from store.car import read_car
from store.cid import Cid, parse_cid, show
from store.codec import unlink
from store.compression import LARGEST, CompressionError, gunzip, gunzip_lines
from store.json_text import parse_json
from store.memory import MemoryStore
from store.overlay import OverlayStore

_SIGNATURE_LENGTH = 69
_GOLDEN = ".jsonl.gz"

SKIPPED_BY_THE_REFERENCE = "DisputeWindowedPoSt/Ok"
"""A class whose messages succeed because a proof fails; the reference's verifier, as ours, says yes to every proof."""


MALFORMED = (AttributeError, KeyError, TypeError, ValueError, StoreError)
"""What reading a field ends in that is not there, or not what it should be."""


class BadVector(InvalidInput):
    """A file that is no message vector."""

    def __init__(self, path: Path, problem: Exception) -> None:
        super().__init__(f"{path} is not a message vector: {type(problem).__name__}: {problem}")


@dataclass(frozen=True, slots=True)
class Expected:
    """A receipt as the vector states it."""

    exit_code: int
    return_data: bytes
    gas_used: int
    events_root: Cid | None = None
    penalty: int | None = None


@dataclass(frozen=True, slots=True)
class VectorResult:
    """One variant of a vector: what came out, and every difference in words (none: it passed).

    `receipts` has what came out of each message and what should; `machine` holds the state after them.
    """

    vector: str
    variant: str
    receipts: tuple[tuple[Expected, Expected], ...]
    state_root: Cid
    expected_root: Cid
    differences: tuple[str, ...]
    machine: Hypervisor = field(repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """The result as one JSON object of the command line's contract."""
        got, expected = self.receipts[-1]
        return {
            "vector": self.vector,
            "variant": self.variant,
            "pass": self.passed,
            "exit_code": got.exit_code,
            "gas_used": got.gas_used,
            "expected_gas": expected.gas_used,
            "state_root": show(self.state_root),
            "error": "; ".join(self.differences),
        }

    @property
    def passed(self) -> bool:
        """No difference."""
        return not self.differences


def find_vectors(paths: Iterable[Path]) -> list[Path]:
    """The vector files among files and folders, each once, in a stable order; InvalidInput for no such path."""
    return files_of(paths, "**/*.json", f"**/*{_GOLDEN}")


def is_skipped(path: Path) -> bool:
    """Whether the reference's own driver skips this vector (it needs a proof that fails)."""
    return SKIPPED_BY_THE_REFERENCE in path.as_posix()


def read_vectors(path: Path) -> Iterator[dict[str, Any]]:
    """The vectors of a file as they stand there. Raises BadVector for a file that has none."""
    return (parse_vector(text, path) for text in texts_of(path))


def texts_of(path: Path) -> Iterator[bytes]:
    """The JSON of each vector of a file. Raises BadVector where the file cannot be read (any further)."""
    try:
        if path.name.endswith(_GOLDEN):
            yield from gunzip_lines(path)
        else:
            yield read_bounded(path, LARGEST, "the file")
    except (OSError, CompressionError, InvalidInput) as error:
        raise BadVector(path, error) from None


def parse_vector(text: bytes, path: Path) -> dict[str, Any]:
    """A vector as it stands in a file. Raises BadVector."""
    try:
        vector = parse_json(text)
        if not isinstance(vector, dict) or not isinstance(vector.get("_meta", {}), dict):
            raise ValueError("it is not an object with `_meta` for an object")
    except ValueError as error:
        raise BadVector(path, error) from None
    return vector


@dataclass(frozen=True, slots=True)
class VectorVariant:
    """One variant of a vector, ready to run: a machine at the state before, the messages, and what comes after."""

    vector: str
    name: str
    machine: Hypervisor
    messages: tuple[Mapping[str, Any], ...]
    after: Mapping[str, Any]


def open_vector(
    path: Path,
    bundles: BundleFolder,
    tracer: Tracer | None = None,
    wanted: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _after: True,
) -> Iterator[VectorVariant]:
    """The variants of a file's vectors, all or those that are wanted by `<vector>:<variant>` and what comes after.

    The state names the bundle that it was made with.

    Raises BadVector for a file that is no message vector, BundleError where its bundle is not at hand.
    """
    for vector in read_vectors(path):
        yield from variants_of(vector, path, bundles, tracer, wanted)


def variants_of(
    vector: Mapping[str, Any],
    path: Path,
    bundles: BundleFolder,
    tracer: Tracer | None = None,
    wanted: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _after: True,
) -> Iterator[VectorVariant]:
    """The variants of one vector of a file, as `open_vector` gives them."""
    try:
        variants = list(vector["preconditions"]["variants"])
        blocks = dict(read_car(io.BytesIO(gunzip(base64.b64decode(vector["car"])))))
        root = parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"])
        name = name_of(vector)
        state = MemoryStore()
        state.put_many(blocks.items())
        manifest = _manifest_of(state, root)
    except MALFORMED as error:
        raise BadVector(path, error) from None
    bundle = bundles.store(manifest)
    for variant in variants:
        try:
            own = {**vector, **variant}
            _check(own)
            context = context_of(vector, variant, network_version(variant["nv"]))
            externs, proofs = ReplayExterns(vector), proofs_of(vector)
        except MALFORMED as error:
            raise BadVector(path, error) from None
        if not wanted(f"{name}:{variant['id']}", own["postconditions"]):
            continue
        store = OverlayStore(bundle)
        store.put_many(blocks.items())
        machine = Hypervisor.at(store, root, context, evm=AUTO, externs=externs, proofs=proofs, tracer=tracer)
        yield VectorVariant(name, variant["id"], machine, tuple(own["apply_messages"]), own["postconditions"])


def name_of(vector: Mapping[str, Any]) -> str:
    """A vector's id, where it has one."""
    return str(vector.get("_meta", {}).get("id", ""))


def run_vector(path: Path, bundles: BundleFolder, tracer: Tracer | None = None) -> Iterator[VectorResult]:
    """Run every variant of a file's vectors. Raises as `open_vector`."""
    return map(run_variant, open_vector(path, bundles, tracer))


def _manifest_of(store: Store, root: Cid) -> Cid:
    system = StateTree(store, root).get_actor(SYSTEM_ACTOR)
    if system is None:
        raise ValueError("the state has no system actor")
    return unlink(get_object(store, system.head)[0])


def _check(own: Mapping[str, Any]) -> None:
    """What is read while a variant runs is there: its name, its messages, a receipt for each, the root after them."""
    messages, after = own["apply_messages"], own["postconditions"]
    if not own["id"] or not messages or len(messages) != len(after["receipts"]):
        raise ValueError("a variant has a name, messages, and as many receipts")
    for applied, receipt in zip(messages, after["receipts"], strict=True):
        base64.b64decode(applied["bytes"])
        read_number(applied.get("raw_length", 0), "raw_length")
        if "refused" not in receipt:
            _read_expected(receipt)
    parse_cid(after["state_tree"]["root_cid"]["/"])


def run_variant(variant: VectorVariant) -> VectorResult:
    """Apply a variant's messages, and compare."""
    differences: list[str] = []
    receipts = []
    for applied, receipt in zip(variant.messages, variant.after["receipts"], strict=True):
        got, expected, found = _apply(variant.machine, applied, receipt)
        receipts.append((got, expected))
        differences += found
    root = variant.machine.root
    wanted = parse_cid(variant.after["state_tree"]["root_cid"]["/"])
    if root != wanted:
        differences.append(f"state root {show(root)}, expected {show(wanted)}")
    return VectorResult(
        variant.vector, variant.name, tuple(receipts), root, wanted, tuple(differences), variant.machine
    )


def _apply(
    machine: Hypervisor, applied: Mapping[str, Any], receipt: Mapping[str, Any]
) -> tuple[Expected, Expected, list[str]]:
    """What came out of one message, what should, and every difference."""
    try:
        result = apply_message(machine, *read_message(applied))
    except MessageError as error:
        nothing = Expected(-1, b"", 0)
        found = [] if "refused" in receipt else [f"the message was refused: {error}"]
        return nothing, nothing if not found else _read_expected(receipt), found
    got = Expected(
        result.exit_code, result.return_data, result.gas_used, result.receipt.events_root, result.gas.miner_penalty
    )
    if "refused" in receipt:
        nothing = Expected(-1, b"", 0)
        return got, nothing, [f"exit code {got.exit_code}, but the reference refuses the message: {receipt['refused']}"]
    expected = _read_expected(receipt)
    words = f"{result.message}; expected: {receipt['words']}" if "words" in receipt else result.message
    return got, expected, list(_compare(got, expected, words))


def read_message(applied: Mapping[str, Any]) -> tuple[Message, int | None]:
    """A vector's message and its length on chain in bytes, None where it is implicit."""
    data = base64.b64decode(applied["bytes"])
    message = Message.from_cbor(data)
    if applied.get("implicit"):
        return message, None
    carried = message.from_.protocol == Protocol.SECP256K1
    return message, applied.get("raw_length", len(data) + (_SIGNATURE_LENGTH if carried else 0))


def apply_message(machine: Hypervisor, message: Message, raw_length: int | None) -> ApplyResult:
    """Apply what `read_message` gave; raises MessageError."""
    return machine.apply_implicit(message) if raw_length is None else machine.apply(message, raw_length)


def _read_expected(receipt: Mapping[str, Any]) -> Expected:
    events = receipt.get("events_root")
    return Expected(
        read_number(receipt["exit_code"], "exit_code"),
        base64.b64decode(receipt["return"] or ""),
        read_number(receipt["gas_used"], "gas_used"),
        None if events is None else parse_cid(events["/"]),
        int(receipt["penalty"]) if "penalty" in receipt else None,
    )


def _compare(got: Expected, expected: Expected, words: str) -> Iterator[str]:
    if got.exit_code != expected.exit_code:
        yield f"exit code {got.exit_code} ({words}), expected {expected.exit_code}"
    if got.return_data != expected.return_data:
        yield f"return {got.return_data.hex()}, expected {expected.return_data.hex()}"
    if got.gas_used != expected.gas_used:
        yield f"gas {got.gas_used}, expected {expected.gas_used} ({got.gas_used - expected.gas_used:+})"
    if expected.penalty is None:
        return  # an official vector, which states no more
    if got.events_root != expected.events_root:
        yield f"events root {_shown(got.events_root)}, expected {_shown(expected.events_root)}"
    if got.penalty != expected.penalty:
        yield f"the miner's penalty {got.penalty}, expected {expected.penalty}"


def _shown(root: Cid | None) -> str:
    return "none" if root is None else show(root)
