"""Runs vectors, official and golden ones, and compares everything that they specify; reads and writes archives of them.

A vector is a JSON object: a CAR with the initial state, messages or tipsets
(`hypervisor_tools.laboratory.vectors.tipsets`), their receipts, and the final state root. Official vectors are one
file each; golden ones (tests/golden) are one per line in a compressed file. The caller provides official bundles.

An archive has a manifest with a digest of each file, the licences, and the vectors:

    NAME/manifest.json          counts, bundles, digests (`manifest_of`)
    NAME/README.md, LICENSE-*
    NAME/vectors/nv28/...       one vector per file

Equal files result in equal bytes: entries are sorted and have no timestamps or owners.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput, MessageError
from hypervisor.installation import AUTO, exists, read_bounded
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import BlockMessage, Parallel, ParallelBlock
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import StateTree
from hypervisor.tracing import Tracer
from hypervisor.types import SYSTEM_ACTOR
from hypervisor.versions.features import with_features
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion, network_version
from hypervisor.versions.overlay import Overlay
from hypervisor_tools.laboratory.vectors.files import BundleFolder, files_of
from hypervisor_tools.laboratory.vectors.tipsets import (
    MESSAGE,
    TIPSET,
    ReplayExterns,
    VectorTipset,
    context_of,
    message_count,
    proofs_of,
    read_number,
    read_tipsets,
)
from localnet.replay.tipset_execution import execute_tipset
from store.blocks.memory import MemoryStore, OverlayStore
from store.blockstore import BlockNotFound, Store, StoreError, get_object
from store.car.files import read_car
from store.cid import Cid, parse_cid, show
from store.codec import unlink
from store.untrusted import MAX_UNPACKED_BYTES, CompressionError, gunzip, gunzip_lines, gzip_bytes, parse_json

_SIGNATURE_LENGTH = 69
_GOLDEN = ".jsonl.gz"

SKIPPED_BY_THE_REFERENCE = "DisputeWindowedPoSt/Ok"
"""Vectors whose messages succeed only if a proof fails. The reference and this runner accept every proof."""

MALFORMED = (AttributeError, KeyError, TypeError, ValueError, StoreError)
"""Exceptions raised by reading a missing or malformed field."""


class BadVector(InvalidInput):
    """Raised for a file that is not a vector."""

    def __init__(self, path: Path, problem: Exception) -> None:
        match problem:
            case KeyError():
                reason = f"the field {problem} is missing"
            case TypeError() | AttributeError():
                reason = f"a field has another type than expected ({problem})"
            case _:
                reason = str(problem)
        super().__init__(f"{path} is not a vector: {reason}")


@dataclass(frozen=True, slots=True)
class VectorReceipt:
    """The compared fields of a receipt: those that a vector expects, or those of the machine's result."""

    exit_code: int
    return_data: bytes
    gas_used: int
    events_root: Cid | None = None
    penalty: int | None = None
    lacks: Cid | None = field(default=None, compare=False)
    """CID of the actor code that was missing, if the call failed for this reason."""


@dataclass(frozen=True, slots=True)
class VectorResult:
    """The result of one variant of a vector. It passed if `differences` is empty.

    `receipts` are pairs of actual and expected receipt, one per message; `machine` holds the state after them.
    """

    vector: str
    variant: str
    receipts: tuple[tuple[VectorReceipt, VectorReceipt], ...]
    state_root: Cid
    expected_root: Cid
    differences: tuple[str, ...]
    machine: Hypervisor = field(repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """Return the result as a JSON object of the command-line interface."""
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
        """True if there are no differences."""
        return not self.differences

    @property
    def lacks_actors(self) -> bool:
        """True if a built-in actor's code was missing, so that the vector was not run."""
        codes = self.machine.manifest.codes
        return any(got.lacks in codes for got, _ in self.receipts if got.lacks is not None)


def find_vectors(paths: Iterable[Path]) -> list[Path]:
    """Return the vector files in files and folders, without duplicates.

    Raises InvalidInput for a missing path, and for an unpacked archive (`archive`) whose files are altered.
    """
    inputs = [file for path in paths for file in (verify_vectors(path) if is_archive(path) else [path])]
    return files_of(inputs, "**/*.json", f"**/*{_GOLDEN}")


def is_skipped(path: Path) -> bool:
    """Return True if the reference's own driver skips this vector, because it needs a failing proof."""
    return SKIPPED_BY_THE_REFERENCE in path.as_posix()


def read_vectors(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the vectors of a file as JSON objects. Raises BadVector for a file without any."""
    return (parse_vector(text, path) for text in texts_of(path))


def texts_of(path: Path) -> Iterator[bytes]:
    """Yield the JSON text of each vector in a file. Raises BadVector if the file cannot be read."""
    try:
        if path.name.endswith(_GOLDEN):
            yield from gunzip_lines(path)
        else:
            yield read_bounded(path, MAX_UNPACKED_BYTES, "the file")
    except (OSError, CompressionError, InvalidInput) as error:
        raise BadVector(path, error) from None


def parse_vector(text: bytes, path: Path) -> dict[str, Any]:
    """Parse a vector. Raises BadVector."""
    try:
        vector = parse_json(text)
        if not isinstance(vector, dict) or not isinstance(vector.get("_meta", {}), dict):
            raise ValueError("it is not an object with `_meta` for an object")
    except ValueError as error:
        raise BadVector(path, error) from None
    return vector


@dataclass(frozen=True, slots=True)
class VectorVariant:
    """A vector variant ready to run: a machine at the initial state, messages or tipsets, and postconditions."""

    vector: str
    name: str
    machine: Hypervisor
    messages: tuple[Mapping[str, Any], ...]
    after: Mapping[str, Any]
    tipsets: tuple[VectorTipset, ...] = ()


def open_vector(
    path: Path,
    bundles: BundleFolder,
    tracer: Tracer | None = None,
    wanted: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _after: True,
) -> Iterator[VectorVariant]:
    """Yield the variants of a file's vectors, optionally filtered by `<vector>:<variant>` and postconditions.

    The initial state names its bundle. Raises BadVector for a file that is not a vector, and BundleError if the bundle
    is not available.
    """
    for vector in read_vectors(path):
        yield from variants_of(vector, path, bundles, tracer, wanted)


def variants_of(
    vector: Mapping[str, Any],
    path: Path,
    bundles: BundleFolder,
    tracer: Tracer | None = None,
    wanted: Callable[[str, Mapping[str, Any]], bool] = lambda _name, _after: True,
    overlay: Overlay | None = None,
    network: int | None = None,
) -> Iterator[VectorVariant]:
    """Yield the variants of one vector, as `open_vector` does, with an overlay's prices and rules.

    `network` replaces the vector's network version.
    """
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
    bundle = bundles.store(manifest, blocks)
    for variant in variants:
        try:
            own = {**vector, **variant}
            tipsets = _check(own, variant["epoch"])
            changed = with_features(vector.get("features", ()), overlay)
            number = variant["nv"] if network is None else network
            context = context_of(vector, variant, _version(number, changed))
            externs, proofs = ReplayExterns(vector), proofs_of(vector)
        except MALFORMED as error:
            raise BadVector(path, error) from None
        if not wanted(f"{name}:{variant['id']}", own["postconditions"]):
            continue
        store = OverlayStore(bundle)
        store.put_many(blocks.items())
        bundles.exchange(store, manifest)
        machine = Hypervisor.at(store, root, context, evm=AUTO, externs=externs, proofs=proofs, tracer=tracer)
        messages = () if tipsets else tuple(own["apply_messages"])
        yield VectorVariant(name, variant["id"], machine, messages, own["postconditions"], tipsets)


def _version(number: int, overlay: Overlay | None) -> NetworkVersion:
    try:
        return network_version(number, overlay)
    except InvalidInput as error:
        if type(number) is int and number > max(NETWORK_VERSIONS):
            raise InvalidInput(f"{error}; for a vector of a draft version, pass its file with --network") from None
        raise


def name_of(vector: Mapping[str, Any]) -> str:
    """Return a vector's id if it has one."""
    return str(vector.get("_meta", {}).get("id", ""))


def run_vector(path: Path, bundles: BundleFolder, tracer: Tracer | None = None) -> Iterator[VectorResult]:
    """Run every variant of a file's vectors. Raises as `open_vector`."""
    return (run_variant(variant) for variant in open_vector(path, bundles, tracer))


def _manifest_of(store: Store, root: Cid) -> Cid:
    system = StateTree(store, root).get_actor(SYSTEM_ACTOR)
    if system is None:
        raise ValueError("the state has no system actor")
    return unlink(get_object(store, system.head)[0])


def _check(own: Mapping[str, Any], epoch: Any) -> tuple[VectorTipset, ...]:
    """Check that a variant has the fields that are read later: name, messages, receipts and final root.

    Return the tipsets of a vector of class tipset; for other classes, an empty tuple.
    """
    after, kind = own["postconditions"], own.get("class", MESSAGE)
    if kind not in (MESSAGE, TIPSET):
        raise ValueError(f"its class is {kind!r:.40}, known are {MESSAGE} and {TIPSET}")
    parse_cid(after["state_tree"]["root_cid"]["/"])
    if kind == TIPSET:
        tipsets = read_tipsets(own, own["preconditions"], read_number(epoch, "epoch"))
        if not own["id"] or len(after["receipts"]) != message_count(tipsets):
            raise ValueError(
                "expected a name, and a receipt for each message, reward and cron of the variant's tipsets"
            )
        for receipt in after["receipts"]:
            _read_expected(receipt)
        return tipsets
    messages = own["apply_messages"]
    if not own["id"] or not messages or len(messages) != len(after["receipts"]):
        raise ValueError("expected a name, at least one message, and as many receipts as messages")
    for applied, receipt in zip(messages, after["receipts"], strict=True):
        base64.b64decode(applied["bytes"])
        read_number(applied.get("raw_length", 0), "raw_length")
        if "refused" not in receipt:
            _read_expected(receipt)
    return ()


def run_variant(variant: VectorVariant, workers: int = 1) -> VectorResult:
    """Apply a variant's messages or tipsets, and compare the results.

    With several workers, messages are executed in worker processes where possible, even a single message.
    """
    parallel = None if workers <= 1 else Parallel(workers, adaptive=False, executes_share=False)
    found = [*(_apply_tipsets(variant, parallel) if variant.tipsets else _apply_messages(variant, parallel))]
    differences = [difference for *_, differing in found for difference in differing]
    root = variant.machine.root
    wanted = parse_cid(variant.after["state_tree"]["root_cid"]["/"])
    if root != wanted:
        differences.append(f"state root {show(root)}, expected {show(wanted)}")
    receipts = tuple((got, expected) for got, expected, _ in found)
    return VectorResult(variant.vector, variant.name, receipts, root, wanted, tuple(differences), variant.machine)


_Compared = tuple[VectorReceipt, VectorReceipt, list[str]]
"""Actual outcome of a message, expected outcome, and the differences."""


def _apply_messages(variant: VectorVariant, parallel: Parallel | None) -> Iterator[_Compared]:
    with nullcontext() if parallel is None else ParallelBlock(variant.machine, _block(variant), parallel) as beside:
        for number, (applied, receipt) in enumerate(zip(variant.messages, variant.after["receipts"], strict=True)):
            apply = partial(_apply_read, variant.machine, applied) if beside is None else partial(beside.apply, number)
            yield _apply(apply, receipt)


def _block(variant: VectorVariant) -> list[BlockMessage]:
    """Return the messages of a variant for workers; the sender of an unreadable message is irrelevant."""
    block = []
    for applied in variant.messages:
        apply = partial(_apply_read, variant.machine, applied)
        try:
            message, _ = read_message(applied)
            block.append(BlockMessage(apply, message.from_, message.to, message.value > 0))
        except MessageError:
            block.append(BlockMessage(apply, Address.id(SYSTEM_ACTOR), None))
    return block


def _apply_read(machine: Hypervisor, applied: Mapping[str, Any]) -> ApplyResult:
    return apply_message(machine, *read_message(applied))


def _apply_tipsets(variant: VectorVariant, parallel: Parallel | None) -> Iterator[_Compared]:
    receipts = iter(variant.after["receipts"])
    for tipset in variant.tipsets:
        outcome = execute_tipset(variant.machine, tipset.work, tipset.supply, parallel)
        roots = []
        if outcome.receipts_root != tipset.receipts:
            roots = [
                f"receipts of epoch {tipset.work.epoch}: {show(outcome.receipts_root)}, not {show(tipset.receipts)}"
            ]
        for number, (result, receipt) in enumerate(zip(outcome.results, receipts, strict=False), 1):
            got, expected = _got(result), _read_expected(receipt)
            differing = [
                f"result {number} of epoch {tipset.work.epoch}: {word}"
                for word in _compare(got, expected, _failure_text(result, receipt))
            ]
            yield got, expected, differing + (roots if number == len(outcome.results) else [])


def _apply(apply: Callable[[], ApplyResult], receipt: Mapping[str, Any]) -> _Compared:
    try:
        result = apply()
    except MessageError as error:
        nothing = VectorReceipt(-1, b"", 0)
        found = [] if "refused" in receipt else [f"the message was refused: {error}"]
        return nothing, nothing if not found else _read_expected(receipt), found
    got = _got(result)
    if "refused" in receipt:
        nothing = VectorReceipt(-1, b"", 0)
        return got, nothing, [f"exit code {got.exit_code}, but the reference refuses the message: {receipt['refused']}"]
    expected = _read_expected(receipt)
    return got, expected, list(_compare(got, expected, _failure_text(result, receipt)))


def _got(result: ApplyResult) -> VectorReceipt:
    cause = None if result.fatal is None else result.fatal.__cause__
    return VectorReceipt(
        result.exit_code,
        result.return_data,
        result.gas_used,
        result.receipt.events_root,
        result.gas.miner_penalty,
        cause.cid if isinstance(cause, BlockNotFound) else None,
    )


def _failure_text(result: ApplyResult, receipt: Mapping[str, Any]) -> str:
    return f"{result.message}; expected: {receipt['words']}" if "words" in receipt else result.message


def read_message(applied: Mapping[str, Any]) -> tuple[Message, int | None]:
    """Return a vector's message and its length on chain in bytes, which is None for an implicit message."""
    data = base64.b64decode(applied["bytes"])
    message = Message.from_cbor(data)
    if applied.get("implicit"):
        return message, None
    carried = message.from_.protocol == Protocol.SECP256K1
    return message, applied.get("raw_length", len(data) + (_SIGNATURE_LENGTH if carried else 0))


def apply_message(machine: Hypervisor, message: Message, raw_length: int | None) -> ApplyResult:
    """Apply a message returned by `read_message`. Raises MessageError."""
    return machine.apply_implicit(message) if raw_length is None else machine.apply(message, raw_length)


def _read_expected(receipt: Mapping[str, Any]) -> VectorReceipt:
    events = receipt.get("events_root")
    return VectorReceipt(
        read_number(receipt["exit_code"], "exit_code"),
        base64.b64decode(receipt["return"] or ""),
        read_number(receipt["gas_used"], "gas_used"),
        None if events is None else parse_cid(events["/"]),
        int(receipt["penalty"]) if "penalty" in receipt else None,
    )


def _compare(got: VectorReceipt, expected: VectorReceipt, message: str) -> Iterator[str]:
    if got.exit_code != expected.exit_code:
        yield f"exit code {got.exit_code} ({message}), expected {expected.exit_code}"
    if got.return_data != expected.return_data:
        yield f"return {got.return_data.hex()}, expected {expected.return_data.hex()}"
    if got.gas_used != expected.gas_used:
        yield f"gas {got.gas_used}, expected {expected.gas_used} ({got.gas_used - expected.gas_used:+})"
    if expected.penalty is None:
        return  # official vectors contain no events root and no penalty
    if got.events_root != expected.events_root:
        yield f"events root {_format(got.events_root)}, expected {_format(expected.events_root)}"
    if got.penalty != expected.penalty:
        yield f"the miner's penalty {got.penalty}, expected {expected.penalty}"


def _format(root: Cid | None) -> str:
    return "none" if root is None else show(root)


MANIFEST: Final = "manifest.json"
VECTORS: Final = "vectors"
_FORMAT: Final = 1
_MODE: Final = 0o644
_MAX_MANIFEST_BYTES: Final = 16 << 20


def manifest_of(
    facts: Mapping[str, Any], vectors: Mapping[str, Mapping[str, Any]], files: Mapping[str, bytes]
) -> bytes:
    """Return a manifest with `facts`, the number of vectors of each class and network version, and the files' digests.

    `vectors` and `files` are by path in the archive.
    """
    counts: dict[str, Counter[str]] = {}
    for vector in vectors.values():
        for variant in vector["preconditions"]["variants"]:
            counts.setdefault(f"nv{variant['nv']}", Counter())[vector["class"]] += 1
    digests = {path: {"size": len(data), "sha256": _digest(data)} for path, data in sorted(files.items())}
    manifest = {
        "format": _FORMAT,
        **facts,
        "vectors": len(vectors),
        "counts": {name: dict(sorted(classes.items())) for name, classes in sorted(counts.items())},
        "files": digests,
    }
    return json.dumps(manifest, indent=2).encode() + b"\n"


def archive_bytes(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the files as a compressed tar archive in the folder `name`."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(data), _MODE
            tar.addfile(entry, io.BytesIO(data))
    return gzip_bytes(plain.getvalue())


def is_archive(folder: Path) -> bool:
    """Return True for the folder of an unpacked archive."""
    return (folder / MANIFEST).is_file()


def verify_vectors(folder: Path) -> list[Path]:
    """Return the vectors of an unpacked archive, after a check of all files against its manifest.

    Raises InvalidInput that names the first file that is missing, altered or not in the manifest.
    """
    path = folder / MANIFEST
    files = _files_of(path)
    found = {file.relative_to(folder).as_posix() for file in (folder / VECTORS).rglob("*") if file.is_file()}
    unknown = sorted(found - files.keys())
    if unknown:
        raise InvalidInput(f"{folder / unknown[0]} is not in {path}: delete it, or name the folder {folder / VECTORS}")
    for name, expected in files.items():
        file = folder / name
        if not exists(file):
            raise InvalidInput(f"{file} is missing, but {path} lists it: unpack the archive again")
        digest = _digest(read_bounded(file, MAX_UNPACKED_BYTES, "the file"))
        if digest != expected:
            raise InvalidInput(
                f"{file} is altered: its SHA-256 is {digest}, in {path} {expected}; unpack the archive again, or name "
                "the file itself to run it"
            )
    return [folder / name for name in sorted(found)]


def _files_of(path: Path) -> dict[str, str]:
    try:
        manifest = parse_json(read_bounded(path, _MAX_MANIFEST_BYTES, "the manifest"))
        if manifest["format"] != _FORMAT:
            raise ValueError(f"its format is {manifest['format']!r:.20}, expected {_FORMAT}")
        files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not a manifest of vectors: {type(error).__name__}: {error}") from None
    unsafe = (name for name in files if name.startswith("/") or ".." in Path(name).parts or "\\" in name)
    outside = next(unsafe, None)
    if outside is not None:
        raise InvalidInput(f"{path} lists {outside!r:.100}, which is not a path in the archive")
    return files


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
