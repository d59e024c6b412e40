"""Generator of the corpus of tipset vectors: extracted tipsets of simulated networks, with the reference's results.

`python -m tests.conformance.tipset_corpus` regenerates the vectors, passes them (and some of class message from the
same chains) to tests/oracle, and compares its results with this machine's and with the committed ones (`make
oracle-vectors`). With `--write` it writes the files. Committed results are those of the reference. Without Rust or the
official bundles it prints NOT RUN and returns exit code 2.
"""

import argparse
import copy
import gzip
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from fvm_hypervisor.laboratory.vectors.extract import extract_message, extract_tipset, vector_of
from fvm_hypervisor.laboratory.vectors.files import BundleFolder
from hypervisor.messages.address import Address
from localnet.chain.folder_source import FolderSource
from localnet.chain.tipset_execution import MinedBlock
from localnet.chain.tipset_sources import machine_for, read_past_tipset
from localnet.ledger.headers import IncludedMessage
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset
from store.rocks.database import RocksStore
from tests.conformance.golden import GOLDEN, VERSIONS
from tests.conformance.message_cases import Reference
from tests.conformance.oracle_diff import NOT_RUN, CannotRun, differences
from tests.conformance.tipset_life import Life
from tests.conftest import fvm_data

TIPSETS: Final = GOLDEN / "tipsets"
EPOCHS: Final = 34
"""Number of tipsets with random messages per chain; a miner adds more."""
MESSAGES: Final = 12
"""Number of messages per chain that become vectors of class message, evenly spaced."""
SOURCE: Final = "answers:ref-fvm, crate fvm 4.8.4"
SEVERAL: Final = 4
"""Number of tipsets with several blocks per chain."""
MIN_MESSAGES: Final = 3
FIRST: Final = 2
"""Tipset after which a miner's deposit is reported by hand (`localnet.miners.miner`)."""
ACTORS: Final = {21: 12, 22: 13, 23: 14, 24: 15, 25: 16, 26: 16, 27: 17, 28: 18, 29: 18}
"""Actors version of each network version, as in tests/oracle; there is no official bundle of v19."""

Vector = dict[str, Any]


def bundle_of(version: int) -> Path:
    """Return the bundle of a network version with 2 KiB sectors. Raises CannotRun."""
    data = fvm_data()
    if data is None:
        raise CannotRun("the official bundles are missing (FVM_DATA)")
    return data / "bundles" / f"v{ACTORS[version]}-testing-fake-proofs.car"


def file_of(version: int) -> Path:
    """Return the folder of a network version's vectors."""
    return TIPSETS / f"nv{version}.jsonl.gz"


def blocks_file_of(version: int) -> Path:
    """Return the folder of vectors of several blocks, which no network of one process produces."""
    return TIPSETS / f"blocks-nv{version}.jsonl.gz"


@dataclass(frozen=True, slots=True)
class GeneratedVectors:
    """Vectors of one chain: its tipsets, tipsets of several blocks made from its messages, and some message vectors."""

    tipsets: list[Vector]
    blocks: list[Vector]
    messages: list[Vector]


def generate(version: int) -> GeneratedVectors:
    """Generate the vectors of a chain at a network version. Raises CannotRun."""
    bundle = bundle_of(version)
    with TemporaryDirectory(prefix="life-") as name:
        folder = Path(name) / "chain"
        Life(folder, version, bundle).run(EPOCHS)
        bundles = BundleFolder(bundle.parent)
        source = FolderSource(folder)
        try:
            tipsets = [*_tipsets(folder)]
            messages = [f"0x{one.hex()}" for tipset in tipsets for one in tipset.transactions]
            step = max(1, len(messages) // MESSAGES)
            return GeneratedVectors(
                [extract_tipset(source, bundles, tipset.height).vector for tipset in tipsets if tipset.height != FIRST],
                [*_of_several_blocks(source, bundles, tipsets)],
                [extract_message(source, bundles, one).vector for one in messages[::step]],
            )
        finally:
            source.close()


def _tipsets(folder: Path) -> Iterator[Tipset]:
    with RocksStore.open(folder, read_only=True) as store:
        index = ChainIndex(store)
        for height in range(1, index.head + 1):
            found = index.at(height)
            if isinstance(found, Tipset):
                yield found


def _of_several_blocks(source: FolderSource, bundles: BundleFolder, tipsets: list[Tipset]) -> Iterator[Vector]:
    """Generate tipsets of three blocks: the second repeats messages of the first, the third has one with a penalty."""
    last = read_past_tipset(source, source.tipset_at(tipsets[-1].height))
    machine = machine_for(source, last)
    miners = [
        Address.id(actor)
        for actor, state in sorted(machine.state_tree.actors())
        if machine.manifest.name_of(state.code) == "storageminer"
    ]
    full = [tipset for tipset in tipsets if len(tipset.transactions) >= MIN_MESSAGES]
    for tipset in full[-SEVERAL:]:
        past = read_past_tipset(source, source.tipset_at(tipset.height))
        (block,) = past.work.blocks
        half = len(block.messages) // 2
        last_one = block.messages[-1].message
        early = replace(last_one, nonce=last_one.nonce + 7)  # executed too early: its producer owes a penalty
        stray = IncludedMessage(early, early.cid(), early.chain_length())
        there = [miner for miner in miners if machine_for(source, past).actor(miner) is not None]
        first, *others = there[-3:]
        blocks = (
            MinedBlock(first, 1, block.messages[: half + 1]),
            MinedBlock(others[0] if others else first, 3, block.messages[half - 1 :]),
            MinedBlock(others[-1] if others else first, 2, (stray,)),
        )
        work = replace(past.work, blocks=blocks)
        yield vector_of(source, bundles, replace(past, work=work), f"blocks-{tipset.height}").vector


def with_reference_results(reference: Reference, vector: Vector) -> Vector:
    """Return the vector with the reference's results instead of ours, without error texts."""
    reference.ask(vector)
    (answer,) = reference.answers()
    found = copy.deepcopy(vector)
    found["postconditions"] = {**answer}
    return found


def compare(reference: Reference, version: int, write: bool) -> tuple[int, list[str]]:
    """Return the number of a version's vectors that were executed, and the differences, as sentences."""
    found = generate(version)
    problems: list[str] = []
    count = 0

    def answers(vectors: list[Vector]) -> list[Vector]:
        nonlocal count, problems
        theirs = [with_reference_results(reference, vector) for vector in vectors]
        for answer, vector in zip(theirs, vectors, strict=True):
            name = vector["_meta"]["id"]
            problems += [f"{name}: {words}" for words in differences(answer, vector, "the reference's answer")]
        count += len(vectors)
        return theirs

    for path, vectors in ((file_of(version), found.tipsets), (blocks_file_of(version), found.blocks)):
        published = [_published(vector) for vector in answers(vectors)]
        if write:
            write_vectors(path, published)
        problems += [f"{path.name}: {words}" for words in differences(published, [*read_vectors(path)])]
    answers(found.messages)
    return count, problems


def _published(vector: Vector) -> Vector:
    found = copy.deepcopy(vector)
    found["_meta"]["gen"].append({"source": SOURCE})
    return found


def write_vectors(path: Path, vectors: list[Vector]) -> None:
    """Write a file of golden vectors, one per line."""
    text = "".join(json.dumps(vector, separators=(",", ":")) + "\n" for vector in vectors)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def results_of(vectors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return all receipts of vectors, including those of reward and cron messages."""
    return [receipt for vector in vectors for receipt in vector["postconditions"]["receipts"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the files anew")
    parser.add_argument("--only", type=int, choices=VERSIONS, help="one network version")
    chosen = parser.parse_args()
    problems: list[str] = []
    count = 0
    try:
        with Reference() as reference:
            for version in VERSIONS if chosen.only is None else [chosen.only]:
                number, found = compare(reference, version, chosen.write)
                count, problems = count + number, problems + found
                print(f"nv{version}: {number} vectors, {len(found)} differences")
    except CannotRun as error:
        print(f"NOT RUN: {error}")
        return NOT_RUN
    for words in problems[:50]:
        print(words)
    print(f"{count} vectors answered by the reference, {len(problems)} differences")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
