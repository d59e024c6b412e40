"""Generator of the public archive of test vectors (`make vectors`, docs/vectors.md).

For each network version from 21 on it runs three chains on the official actors and extracts their vectors:

- named messages (tests/conformance/vector_kinds.py), as vectors of class message;
- random messages with miners and null rounds (tests/conformance/tipset_corpus.py), as vectors of class tipset, some of
  several blocks;
- messages after an upgrade from the version before, as vectors of class tipset.

`--reference` also executes every vector with tests/oracle (ref-fvm) and fails on a difference. `--verify` compares the
generated archive with the existing one instead of writing it.
"""

import argparse
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version as installed_version
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypervisor.bundles.bundle import Bundle
from hypervisor_tools.jobs.run import run_all
from hypervisor_tools.laboratory.vectors.conformance import VECTORS, archive_bytes, manifest_of, verify_vectors
from hypervisor_tools.laboratory.vectors.extract import (
    ExtractedVector,
    extract_message,
    extract_tipset,
    vector_of_message,
)
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from hypervisor_tools.laboratory.vectors.run_files import run_file
from localnet.ledger.headers import IncludedMessage
from localnet.replay.folder_source import FolderSource
from localnet.replay.sources import read_past_tipset
from localnet.replay.tipset_execution import MinedBlock
from store.cid import show
from tests.conformance import vector_kinds
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, differences
from tests.conformance.oracle_messages import Reference
from tests.conformance.tipset_corpus import ACTORS, SOURCE, bundle_of, generate, with_reference_results
from tests.conformance.vector_kinds import Refused, Scenario
from tests.golden_cases import VERSIONS

PROJECT: Final = Path(__file__).resolve().parents[2]
README: Final = Path(__file__).with_name("public_vectors.md")
LICENCES: Final = ("LICENSE-MIT", "LICENSE-APACHE")
MAX_VECTOR_BYTES: Final = 100_000
"""Maximum size of a vector in bytes; bundles are not part of it."""

UPGRADE: Final = 400
"""Epoch of the upgrade in chains that have one."""
FIRST_UPGRADED: Final = 22
LAST_UPGRADED: Final = 28
"""Network versions to which chains are upgraded: the bundles of v11 and v19 are missing."""

Vector = dict[str, Any]
Vectors = dict[str, Vector]
"""Vectors by path in the archive."""


class NotEqual(Exception):
    """Raised if a generated vector, or the archive, is not as expected."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive of vectors: the name of its folder, and its bytes."""

    name: str
    data: bytes
    vectors: int


def vectors_of(version: int) -> Vectors:
    """Generate the vectors of a network version. Raises CannotRun, NotEqual."""
    life = generate(version)
    found = {f"tipset/random/{_epoch(one):04}": one for one in life.tipsets}
    found |= {f"tipset/several-blocks/{_epoch(one):04}": one for one in life.blocks}
    with TemporaryDirectory(prefix="vectors-") as folder:
        scenario = Scenario(Path(folder) / "chain", version, bundle_of(version))
        with scenario.network:
            vector_kinds.run(scenario)
        found |= _messages(Path(folder) / "chain", scenario)
    if FIRST_UPGRADED <= version <= LAST_UPGRADED:
        with TemporaryDirectory(prefix="vectors-") as folder:
            found |= _upgraded(Path(folder) / "chain", version)
    named = {f"{VECTORS}/nv{version}/{path}.json": _named(vector, path, version) for path, vector in found.items()}
    for path, vector in named.items():
        size = len(text_of(vector))
        if size > MAX_VECTOR_BYTES:
            raise NotEqual(f"{path} has {size:,} bytes, the limit is {MAX_VECTOR_BYTES:,}")
    return named


def _messages(folder: Path, scenario: Scenario) -> Iterator[tuple[str, Vector]]:
    bundles, source = BundleFolder(bundle_of(scenario.version).parent), FolderSource(folder)
    try:
        for one in scenario.found:
            if isinstance(one, Refused):
                yield f"message/{one.name}", _of_refused(source, bundles, one).vector
            else:
                yield f"message/{one.name}", extract_message(source, bundles, one.hash).vector
    finally:
        source.close()


def _of_refused(source: FolderSource, bundles: BundleFolder, one: Refused) -> ExtractedVector:
    """Return the vector of a message as the only one of a tipset."""
    past = read_past_tipset(source, source.tipset_at(one.epoch))
    carried = IncludedMessage(one.message, one.message.cid(), one.message.chain_length())
    blocks = (MinedBlock(past.work.blocks[0].producer, 1, (carried,)),)
    return vector_of_message(source, bundles, replace(past, work=replace(past.work, blocks=blocks)), carried.cid)


def _upgraded(folder: Path, version: int) -> Iterator[tuple[str, Vector]]:
    plan = {UPGRADE: (version, Bundle.open(bundle_of(version)))}
    scenario = Scenario(folder, version - 1, bundle_of(version - 1), plan)
    with scenario.network:
        vector_kinds.run_upgraded(scenario, UPGRADE)
    bundles, source = BundleFolder(bundle_of(version).parent), FolderSource(folder)
    try:
        for one in scenario.found:
            yield f"tipset/{one.name}", extract_tipset(source, bundles, one.epoch).vector
    finally:
        source.close()


def _epoch(vector: Vector) -> int:
    (variant,), (tipset,) = vector["preconditions"]["variants"], vector["apply_tipsets"]
    found: int = variant["epoch"] + tipset["epoch_offset"]
    return found


def _named(vector: Vector, path: str, version: int) -> Vector:
    gen = [*vector["_meta"]["gen"], {"source": "hypervisor", "version": installed_version("fvm-hypervisor")}]
    return {**vector, "_meta": {"id": f"{path}@nv{version}", "gen": gen}}


def text_of(vector: Vector) -> bytes:
    return json.dumps(vector, indent=1).encode() + b"\n"


# --- the archive ------------------------------------------------------------------------------------------------------


def archive_of(vectors: Vectors, reference: bool) -> Archive:
    """Return the archive of vectors, with manifest, licences and README."""
    generator = installed_version("fvm-hypervisor")
    files = {path: text_of(vector) for path, vector in vectors.items()}
    files |= {name: (PROJECT / name).read_bytes() for name in LICENCES}
    files["README.md"] = README.read_bytes()
    facts = {
        "generator": {"name": "hypervisor", "version": generator},
        "schema": "filecoin-project/test-vectors",
        "license": "MIT OR Apache-2.0",
        "reference": SOURCE.removeprefix("answers:") if reference else None,
        "bundles": _bundles(vectors),
    }
    name = f"hypervisor-vectors-{generator}"
    files["manifest.json"] = manifest_of(facts, vectors, files)
    return Archive(name, archive_bytes(name, files), len(vectors))


def _bundles(vectors: Vectors) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for vector in vectors.values():
        for variant in vector["preconditions"]["variants"]:
            version, data = variant["nv"], vector["bundle"]["/"]
            if data not in found:
                path = bundle_of(version)
                bundle = Bundle.open(path)
                if show(bundle.manifest.data) != data:
                    raise NotEqual(f"{path} has the manifest {show(bundle.manifest.data)}, its vectors name {data}")
                release = {"release": path.stem, "actors": ACTORS[version]}
                found[data] = {**release, "root": show(bundle.root), "manifest": data, "network_versions": []}
            versions = found[data]["network_versions"]
            if version not in versions:
                versions.append(version)
    return [*found.values()]


def failures(archive: Archive, bundles: Path, workers: int) -> Iterator[str]:
    """Unpack an archive, run its vectors, and yield the failures, as sentences."""
    with TemporaryDirectory(prefix="vectors-") as folder:
        with tarfile.open(fileobj=BytesIO(archive.data)) as tar:
            tar.extractall(folder, filter="data")
        paths = verify_vectors(Path(folder) / archive.name)
        if len(paths) != archive.vectors:
            yield f"the archive has {len(paths)} vectors, not {archive.vectors}"
        for records in run_all(partial(run_file, folder=bundles), paths, workers, "vectors"):
            yield from (f"{record['vector']}: {record['error']}" for record in records if not record["pass"])


def with_reference(vectors: Vectors) -> Iterator[tuple[str, Vector]]:
    """Yield the vectors with the reference's results. Raises NotEqual if they differ from ours, and CannotRun."""
    with Reference() as reference:
        for path, vector in vectors.items():
            theirs = with_reference_results(reference, vector)
            different = [*differences(theirs, vector, "the reference's answer")]
            if different:
                raise NotEqual(f"{path}: {different[0]}")
            theirs["_meta"]["gen"].append({"source": SOURCE})
            yield path, theirs


def write_or_verify(archive: Archive, folder: Path, verify: bool) -> str:
    """Write an archive, or compare it with the existing one. Return a sentence. Raises NotEqual."""
    path = folder / f"{archive.name}.tar.gz"
    if not verify:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.data)
        return f"{path}: {archive.vectors:,} vectors, {len(archive.data):,} bytes"
    if not path.is_file():
        raise NotEqual(f"there is no {path}: run `make vectors` without --verify first")
    if path.read_bytes() != archive.data:
        different = [*_different(path.read_bytes(), archive.data)]
        raise NotEqual(f"{path} differs in {len(different)} files: {', '.join(different[:5]) or 'the compression'}")
    return f"{path}: {archive.vectors:,} vectors generated again give the same bytes"


def _different(one: bytes, other: bytes) -> Iterator[str]:
    files = [_contents(data) for data in (one, other)]
    yield from (name for name in sorted({*files[0], *files[1]}) if files[0].get(name) != files[1].get(name))


def _contents(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        streams = {member.name: tar.extractfile(member) for member in tar}
        return {name: stream.read() for name, stream in streams.items() if stream is not None}


def make(versions: Sequence[int], workers: int, reference: bool) -> Archive:
    """Generate an archive and run its vectors. Raises CannotRun and NotEqual."""
    vectors: Vectors = {}
    for found in run_all(vectors_of, versions, workers, "network versions"):
        vectors |= found
    if reference:
        vectors = dict(with_reference(vectors))
    archive = archive_of(vectors, reference)
    failed = [*failures(archive, bundle_of(versions[0]).parent, workers)]
    if failed:
        raise NotEqual(f"{len(failed)} vectors fail: {failed[0]}")
    return archive


def main() -> int:
    parser = argparse.ArgumentParser(prog="make vectors", description=__doc__)
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "vectors", help="folder of the archive")
    parser.add_argument("--only", type=int, choices=VERSIONS, action="append", help="a network version; repeatable")
    parser.add_argument("--workers", type=int, default=2, help="number of processes (default 2)")
    parser.add_argument("--reference", action="store_true", help="also compare every vector with ref-fvm (needs Rust)")
    parser.add_argument("--verify", action="store_true", help="compare with the archive in the folder")
    chosen = parser.parse_args()
    try:
        archive = make(chosen.only or VERSIONS, chosen.workers, chosen.reference)
        print(write_or_verify(archive, chosen.out, chosen.verify))
    except CannotRun as error:
        print(f"NOT RUN: {error}")
        return NOT_RUN
    except NotEqual as error:
        print(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
