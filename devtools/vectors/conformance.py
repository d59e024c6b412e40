"""Runs Filecoin's official message vectors on the machine and compares everything that they state.

A vector is a JSON file: a CAR of the state that one message touches, the message, its receipt and the state root after
it. The world around it (randomness, accepted proofs, circulating supply) is that of the reference driver, ref-fvm v3's
testing/conformance. Official bundles are data of the caller.
"""

import base64
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.vectors.bundles import BundleFolder
from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.network_versions import network_version
from hypervisor.proofs import AcceptProofs
from hypervisor.state_tree import StateTree
from hypervisor.tracing import Tracer
from hypervisor.types import SYSTEM_ACTOR, ChainEpoch, TokenAmount
from store.blockstore import Store, StoreError, get_object
from store.car import read_car
from store.cid import Cid, parse_cid, show
from store.codec import unlink
from store.memory import MemoryStore
from store.overlay import OverlayStore

_EPOCH_SECONDS = 30
_SIGNATURE_LENGTH = 69
_DEFAULT_SUPPLY = 2_000_000_000 * 10**18
_RANDOMNESS = b"i_am_random_____i_am_random_____"


SKIPPED_BY_THE_REFERENCE = "DisputeWindowedPoSt/Ok"
"""A class whose messages succeed because a proof fails; the reference's verifier, as ours, says yes to every proof."""


class BadVector(InvalidInput):
    """A file that is no message vector."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A receipt as the vector states it."""

    exit_code: int
    return_data: bytes
    gas_used: int


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


class ReplayExterns:
    """Randomness as the vector recorded it; everything else is not asked for."""

    def __init__(self, recorded: list[dict[str, Any]]) -> None:
        self._digests = {(entry["on"][0], entry["on"][1]): base64.b64decode(entry["ret"]) for entry in recorded}

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digests.get(("chain", epoch), _RANDOMNESS)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        return self._digests.get(("beacon", epoch), _RANDOMNESS)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        raise AssertionError(f"no vector asks for a tipset CID, but epoch {epoch} was asked for")


def find_vectors(paths: Iterable[Path]) -> list[Path]:
    """The vector files among files and folders, each once, in a stable order."""
    found: dict[Path, None] = {}
    for path in paths:
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        found.update(dict.fromkeys(files))
    return list(found)


def is_skipped(path: Path) -> bool:
    """Whether the reference's own driver skips this vector (it needs a proof that fails)."""
    return SKIPPED_BY_THE_REFERENCE in path.as_posix()


def run_vector(path: Path, bundles: BundleFolder, tracer: Tracer | None = None) -> Iterator[VectorResult]:
    """Run every variant of a vector file; the state names the bundle that it was made with.

    Raises BadVector for a file that is no message vector, BundleError where its bundle is not at hand.
    """
    try:
        vector = json.loads(path.read_text(encoding="utf-8"))
        variants = vector["preconditions"]["variants"]
        blocks = dict(read_car(io.BytesIO(gzip.decompress(base64.b64decode(vector["car"])))))
        root = parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"])
    except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
        raise BadVector(f"{path} is not a message vector: {type(error).__name__}: {error}") from None
    for variant in variants:
        state = MemoryStore()
        state.put_many(blocks.items())
        store = OverlayStore(bundles.store(_manifest_of(state, root)))
        store.put_many(blocks.items())
        yield _run_variant(vector, variant, store, tracer)


def _manifest_of(store: Store, root: Cid) -> Cid:
    system = StateTree(store, root).get_actor(SYSTEM_ACTOR)
    if system is None:
        raise BadVector("the vector's state has no system actor")
    return unlink(get_object(store, system.head)[0])


def _run_variant(
    vector: Mapping[str, Any], variant: Mapping[str, Any], store: Store, tracer: Tracer | None
) -> VectorResult:
    preconditions, postconditions = vector["preconditions"], vector["postconditions"]
    context = MachineContext(
        network=network_version(variant["nv"]),
        epoch=ChainEpoch(variant["epoch"]),
        timestamp=variant["epoch"] * _EPOCH_SECONDS,
        base_fee=TokenAmount(preconditions.get("basefee", 100)),
        chain_id=0,
        circulating_supply=TokenAmount(preconditions.get("circ_supply", _DEFAULT_SUPPLY)),
    )
    machine = Hypervisor.at(
        store,
        parse_cid(preconditions["state_tree"]["root_cid"]["/"]),
        context,
        externs=ReplayExterns(vector.get("randomness", [])),
        proofs=AcceptProofs(),
        tracer=tracer,
    )
    differences: list[str] = []
    receipts = []
    for applied, receipt in zip(vector["apply_messages"], postconditions["receipts"], strict=True):
        data = base64.b64decode(applied["bytes"])
        message = Message.from_cbor(data)
        carried = str(message.from_).startswith("f1")
        result = machine.apply(message, len(data) + (_SIGNATURE_LENGTH if carried else 0))
        expected = Expected(receipt["exit_code"], base64.b64decode(receipt["return"] or ""), receipt["gas_used"])
        got = Expected(result.exit_code, result.return_data, result.gas_used)
        receipts.append((got, expected))
        differences += _compare(got, expected, result.message)
    root = machine.root
    wanted = parse_cid(postconditions["state_tree"]["root_cid"]["/"])
    if root != wanted:
        differences.append(f"state root {show(root)}, expected {show(wanted)}")
    name = vector.get("_meta", {}).get("id", "")
    return VectorResult(name, variant["id"], tuple(receipts), root, wanted, tuple(differences), machine)


def _compare(got: Expected, expected: Expected, words: str) -> Iterator[str]:
    if got.exit_code != expected.exit_code:
        yield f"exit code {got.exit_code} ({words}), expected {expected.exit_code}"
    if got.return_data != expected.return_data:
        yield f"return {got.return_data.hex()}, expected {expected.return_data.hex()}"
    if got.gas_used != expected.gas_used:
        yield f"gas {got.gas_used}, expected {expected.gas_used} ({got.gas_used - expected.gas_used:+})"
