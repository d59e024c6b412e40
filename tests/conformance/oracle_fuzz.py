"""Random syscalls, executed by the reference and by this machine: `make oracle-fuzz`.

Each message makes a few hundred of them (tests/conformance/probes.py); exit code, error numbers, results, gas, events
and state must be equal. If a message differs, each of its syscalls is repeated separately. As a check of the run, some
messages are repeated with a price that is one gas too high and must differ, and a third must end successfully.
Needs Rust and the official bundles, like `make oracle-diff`; ends with exit code 1 on a difference, 2 if nothing ran.
"""

import argparse
import base64
import copy
import gzip
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from fvm_hypervisor.laboratory.vectors.conformance import VectorResult, read_vectors, run_vector
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor.state.state_tree import StateTree
from hypervisor.types import ActorID
from hypervisor.versions.network_versions import NetworkVersion, network_version
from store.blocks.memory import MemoryStore
from store.car.files import read_car, write_car
from store.cid import RAW, Cid, cid_of, parse_cid, show
from tests.conformance.golden import GOLDEN, VERSIONS
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, oracle
from tests.conformance.probes import Probe, module_of, probes
from tests.conftest import bundle_folder

GUEST = ActorID(1000)
IN_A_MESSAGE = 200

Vector = dict[str, Any]


def main() -> int:
    """Compare `count` syscalls at each network version in turn; return the exit code."""
    options = argparse.ArgumentParser(prog="oracle-fuzz", description=__doc__)
    options.add_argument("--count", type=int, default=8_000, help="how many syscalls (default 8000)")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    stream = probes(Random(chosen.seed))
    messages = -(-chosen.count // len(VERSIONS) // IN_A_MESSAGE)
    differing = planted = finished = 0
    try:
        for version in VERSIONS:
            batch = [list(islice(stream, IN_A_MESSAGE)) for _ in range(messages)]
            vectors = with_reference_results(version, batch)
            found = list(differences(version, batch, vectors))
            for words in found:
                print(f"nv{version}: {words}")
            differing += len(found)
            finished += sum(not vector["postconditions"]["receipts"][0]["exit_code"] for vector in vectors)
            with patch("fvm_hypervisor.laboratory.vectors.conformance.network_version", _one_gas_more):
                planted += not next(machine(vectors[:1])).passed
            print(f"nv{version}: {messages * IN_A_MESSAGE} syscalls, {len(found)} differences", file=sys.stderr)
    except CannotRun as lack:
        print(f"NOT RUN: {lack}")
        return NOT_RUN
    total = messages * len(VERSIONS)
    print(
        f"{total * IN_A_MESSAGE} syscalls in {total} messages, {finished} of them to the end: {differing} differences"
    )
    print(f"planted defect: found in {planted} of {len(VERSIONS)} messages")
    return 1 if differing or not planted or finished * 3 < total else 0


def differences(version: int, messages: Sequence[list[Probe]], vectors: Sequence[Vector]) -> Iterator[str]:
    """Return the syscalls with different results, or the whole message if each is equal when executed separately."""
    for asked, result in zip(messages, machine(vectors), strict=True):
        if result.passed:
            continue
        alone = zip(asked, machine(with_reference_results(version, [[probe] for probe in asked])), strict=True)
        different = [f"{probe}: {'; '.join(one.differences)}" for probe, one in alone if not one.passed]
        yield from different or [f"only together with other syscalls: {'; '.join(result.differences)[:500]}"]


def with_reference_results(version: int, messages: Sequence[list[Probe]]) -> list[Vector]:
    """Yield each message as a vector with the reference's result."""
    base = _base(version)
    vectors = [with_guest(base, str(index), module_of(asked)) for index, asked in enumerate(messages)]
    with TemporaryDirectory(prefix="oracle-") as folder:
        path = _written(Path(folder), vectors)
        lines = map(json.loads, oracle("run", str(path)).splitlines())
        printed = {line["id"].partition(":")[0]: line["postconditions"] for line in lines}
    return [{**vector, "postconditions": printed[vector["_meta"]["id"]]} for vector in vectors]


def machine(vectors: Sequence[Vector]) -> Iterator[VectorResult]:
    """Yield each vector with this machine's result."""
    with TemporaryDirectory(prefix="oracle-") as folder, ExitStack() as stack:
        for check in ("_check_window_proof", "_check_aggregate", "_check_replica_update"):
            # The oracle's proof-accepting kernel checks nothing after the charge.
            stack.enter_context(patch(f"hypervisor.kernel.proofs.{check}"))
        stack.enter_context(patch("hypervisor.kernel.proofs._can_be_seal", return_value=True))
        yield from run_vector(_written(Path(folder), vectors), BundleFolder(bundle_folder()))


def _base(version: int) -> Vector:
    """Return a golden vector of the version with one guest, whose proofs are accepted."""
    vectors = read_vectors(GOLDEN / "proofs.jsonl.gz")
    return next(v for v in vectors if v["_meta"]["id"].endswith(f"@nv{version}") and v["proofs"] == "accept")


def with_guest(base: Mapping[str, Any], name: str, module: bytes) -> Vector:
    """Return the vector with another module as its guest, under another name."""
    vector = copy.deepcopy(dict(base))
    blocks = dict(read_car(io.BytesIO(gzip.decompress(base64.b64decode(vector["car"])))))
    store = _ListingStore(blocks)
    tree = StateTree(store, parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"]))
    guest = tree.get_actor(GUEST)
    assert guest is not None
    code = cid_of(module, RAW)
    tree.set_actor(GUEST, replace(guest, code=code))
    root = tree.flush()
    car = io.BytesIO()
    write_car(car, [root], {**store.blocks, code: module}.items())
    vector["_meta"]["id"] = name
    vector["car"] = base64.b64encode(gzip.compress(car.getvalue())).decode()
    vector["preconditions"]["state_tree"]["root_cid"] = {"/": show(root)}
    return vector


class _ListingStore(MemoryStore):
    """A store that can list its blocks."""

    def __init__(self, blocks: Mapping[Cid, bytes]) -> None:
        super().__init__()
        self.blocks: dict[Cid, bytes] = {}
        self.put_many(blocks.items())

    def put(self, cid: Cid, data: bytes) -> None:
        self.blocks[cid] = data
        super().put(cid, data)

    def put_many(self, blocks: Iterable[tuple[Cid, bytes]]) -> None:
        for cid, data in blocks:
            self.put(cid, data)


def _written(folder: Path, vectors: Iterable[Mapping[str, Any]]) -> Path:
    path = folder / "asked.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(vector) + "\n" for vector in vectors).encode(), 1))
    return path


def _one_gas_more(number: int, _overlay: object) -> NetworkVersion:
    row = network_version(number)
    return replace(row, prices=replace(row.prices, name="planted", block_open_flat=row.prices.block_open_flat + 1000))


if __name__ == "__main__":
    sys.exit(main())
