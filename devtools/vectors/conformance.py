"""Runs Filecoin's official message vectors on the machine and compares everything that they state.

A vector is a JSON file: a CAR of the state that one message touches, the message, its receipt and the state root after
it. The world around it (randomness, accepted proofs, circulating supply) is that of the reference driver, ref-fvm v3's
testing/conformance. Official bundles are data of the caller.
"""

import base64
import gzip
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hypervisor.context import MachineContext
from hypervisor.machine import Hypervisor
from hypervisor.message import Message
from hypervisor.network_versions import network_version
from hypervisor.proofs import AcceptProofs
from hypervisor.tracing import Tracer
from hypervisor.types import ChainEpoch, TokenAmount
from store.blockstore import Store
from store.car import read_car
from store.cid import Cid, parse_cid, show
from store.memory import MemoryStore
from store.overlay import OverlayStore

_EPOCH_SECONDS = 30
_SIGNATURE_LENGTH = 69
_DEFAULT_SUPPLY = 2_000_000_000 * 10**18
_RANDOMNESS = b"i_am_random_____i_am_random_____"


@dataclass(frozen=True, slots=True)
class Expected:
    """A receipt as the vector states it."""

    exit_code: int
    return_data: bytes
    gas_used: int


@dataclass(frozen=True, slots=True)
class VectorResult:
    """One variant of a vector: what came out, and every difference in words (none: it passed)."""

    vector: str
    variant: str
    exit_code: int
    gas_used: int
    expected_gas: int
    state_root: Cid
    differences: tuple[str, ...]

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


@lru_cache(maxsize=4)
def bundle_store(path: Path) -> MemoryStore:
    """The blocks of an official bundle, read once."""
    store = MemoryStore()
    with path.open("rb") as stream:
        store.put_many(read_car(stream))
    return store


def run_vector(path: Path, bundle: Store, tracer: Tracer | None = None) -> Iterator[VectorResult]:
    """Run every variant of a vector file over a bundle's blocks."""
    vector = json.loads(path.read_text())
    blocks = gzip.decompress(base64.b64decode(vector["car"]))
    for variant in vector["preconditions"]["variants"]:
        store = OverlayStore(bundle)
        store.put_many(read_car(io.BytesIO(blocks)))
        yield _run_variant(vector, variant, store, tracer)


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
    exit_code = gas_used = expected_gas = 0
    for applied, receipt in zip(vector["apply_messages"], postconditions["receipts"], strict=True):
        data = base64.b64decode(applied["bytes"])
        message = Message.from_cbor(data)
        carried = str(message.from_).startswith("f1")
        result = machine.apply(message, len(data) + (_SIGNATURE_LENGTH if carried else 0))
        expected = Expected(receipt["exit_code"], base64.b64decode(receipt["return"] or ""), receipt["gas_used"])
        exit_code, gas_used, expected_gas = result.exit_code, result.gas_used, expected.gas_used
        got = Expected(result.exit_code, result.return_data, result.gas_used)
        differences += _compare(got, expected, result.message)
    root = machine.root
    wanted = parse_cid(postconditions["state_tree"]["root_cid"]["/"])
    if root != wanted:
        differences.append(f"state root {show(root)}, expected {show(wanted)}")
    name = vector.get("_meta", {}).get("id", "")
    return VectorResult(name, variant["id"], exit_code, gas_used, expected_gas, root, tuple(differences))


def _compare(got: Expected, expected: Expected, words: str) -> Iterator[str]:
    if got.exit_code != expected.exit_code:
        yield f"exit code {got.exit_code} ({words}), expected {expected.exit_code}"
    if got.return_data != expected.return_data:
        yield f"return {got.return_data.hex()}, expected {expected.return_data.hex()}"
    if got.gas_used != expected.gas_used:
        yield f"gas {got.gas_used}, expected {expected.gas_used} ({got.gas_used - expected.gas_used:+})"
