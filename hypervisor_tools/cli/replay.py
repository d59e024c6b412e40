"""`hypervisor replay` and `extract`: re-execute a chain's tipsets, and write test vectors from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.folders import check_folder, open_folder
from hypervisor_tools.cli.options import (
    CORES,
    URL,
    URL_VARIABLE,
    AsJson,
    DraftFile,
    TrustDraft,
    Workers,
    load_draft,
)

if TYPE_CHECKING:
    from hypervisor.versions.overlay import Overlay
    from hypervisor_tools.laboratory.drafts import DraftVersion
    from hypervisor_tools.laboratory.vectors.extract import ExtractedVector
    from localnet.replay.replay import TipsetReplay


def replay(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Folder of a chain or snapshot; with --fork-url the folder for fetched blocks."
        ),
    ] = None,
    fork_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of a node whose tipsets are executed.")
    ] = None,
    first: Annotated[int | None, typer.Option("--from", min=0, metavar="EPOCH", help="First epoch.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, metavar="EPOCH", help="Last epoch.")] = None,
    workers: Workers = CORES,
    parallel: Annotated[
        int,
        typer.Option(min=1, max=256, metavar="N", help="Number of processes that share the messages of one tipset."),
    ] = 1,
    network: DraftFile = None,
    trust: TrustDraft = False,
    as_json: AsJson = False,
) -> None:
    """Re-execute a chain's tipsets and report those whose receipts or state differ from the chain.

    Tipsets are independent: each starts from its recorded parent state. The folder is only read, so a node may have
    it open. States that were edited manually are reported as different.

    For a snapshot imported by `hypervisor car import DIR SNAPSHOT --chain`, only tipsets with states in the snapshot
    are executed. With --fork-url, blocks are fetched from a node (Lotus, Forest, `hypervisor node`) on demand,
    checked against their CIDs, and cached in DIR if it is given. `hypervisor extract` makes a vector of a tipset, and
    `hypervisor compare` explains differences.

    --workers is the number of tipsets executed concurrently. --parallel is the number of processes that share the
    messages of one tipset; the results are the same. With --parallel, --json reports for each tipset the messages taken
    from workers and executed again, and the conflicts by actor and slot (the first 100, contracts of at most 10,000
    slots). Without --json, a line per actor shows the slots with conflicts, and an x for each conflicting message.

    --network names the draft version of a chain. The tipset after an upgrade that migrates states requires it.

    Exit status: 0 if all tipsets match, 1 if one differs, 2 for invalid input or a node that does not respond.

    Example: hypervisor replay chain --from 100 --to 200 --workers 8

    Example: hypervisor replay chain --network nv30-draft.toml

    Example: hypervisor replay cache --fork-url http://127.0.0.1:1234/rpc/v1 --from 4461000 --to 4461010
    """
    if parallel > 1:
        from hypervisor.machine.parallel import Parallel

        Parallel(parallel)  # validate before executing anything
    draft = load_draft(network, trust=trust)
    if fork_url is None:
        found = _of_folder(folder, first, last, parallel, draft)
    else:
        found = _of_node(fork_url, folder, first, last, parallel, draft)
    tipsets = messages = different = 0
    for done in found(workers):
        tipsets += 1
        messages += done.messages
        different += bool(done.difference)
        if as_json:
            typer.echo(json.dumps({name: value for name, value in asdict(done).items() if value is not None}))
        else:
            if done.difference:
                typer.echo(f"{done.height}: {done.difference}")
            _show_conflicts(done)
    if not as_json:
        typer.echo(f"{_count_text(tipsets, 'tipset')} with {_count_text(messages, 'message')}, {different:,} different")
    if different:
        raise typer.Exit(1)


def _show_conflicts(done: TipsetReplay) -> None:
    """Print the parallel execution of a tipset: workers, and a line for each actor with conflicts."""
    parallel = done.parallel
    if parallel is None or not done.messages:
        return
    from localnet.replay.conflicts import conflict_lines

    taken, again = parallel["taken"], parallel["executed_again"]
    if not taken + again:
        typer.echo(f"{done.height}: {_count_text(done.messages, 'message')}, executed serially")
        return
    typer.echo(f"{done.height}: of {done.messages:,} messages {taken:,} taken from workers, {again:,} executed again")
    for line in conflict_lines(parallel, done.messages):
        typer.echo(f"  {line}")


_Work = Callable[[int], "Iterator[TipsetReplay]"]
"""Executes tipsets on worker processes."""


def _of_folder(
    folder: Path | None, first: int | None, last: int | None, parallel: int, draft: DraftVersion | None
) -> _Work:
    from hypervisor.machine.opening import check_same_overlay
    from hypervisor_tools.jobs.run import run_all
    from hypervisor_tools.laboratory.drafts import with_migration
    from localnet.ledger.index import ChainIndex
    from localnet.replay import past_replay

    if folder is None:
        raise InvalidInput("missing argument: pass the folder of a chain, or a node with --fork-url")
    with open_folder(folder) as store:
        record = ChainIndex(store).network()
        if draft is not None and record is not None:
            check_same_overlay(record.overlay, draft.overlay)
    work = with_migration(draft, partial(past_replay.replay_in_folder, folder.resolve(), parallel=parallel))
    found = past_replay.heights_of_folder(folder, first, last)

    def execute(workers: int) -> Iterator[TipsetReplay]:
        try:
            lost = past_replay.lost_tipset
            yield from run_all(work, found, workers, "tipsets", lost=lost)
        finally:
            past_replay.close_sources()

    return execute


def _of_node(
    url: str, folder: Path | None, first: int | None, last: int | None, parallel: int, draft: DraftVersion | None
) -> _Work:
    if first is None:
        raise InvalidInput("--fork-url needs a first epoch: pass --from")
    overlay = None if draft is None else draft.overlay
    return lambda workers: _replay_node(url, folder, (first, last), parallel, workers, overlay)


def _replay_node(
    url: str,
    folder: Path | None,
    span: tuple[int, int | None],
    parallel: int,
    workers: int,
    overlay: Overlay | None,
) -> Iterator[TipsetReplay]:
    """Replay a node's tipsets in worker processes.

    Only this process writes to the folder; workers return the blocks that they fetched.
    """
    from contextlib import ExitStack

    from hypervisor_tools.jobs.run import run_all
    from localnet.fork.node_client import as_unfit_node
    from localnet.replay import past_replay
    from localnet.replay.sources import NodeSource
    from store.blocks.memory import MemoryStore, OverlayStore
    from store.rocks.database import RocksStore

    with ExitStack() as undo:
        cache = None if folder is None else RocksStore.open(folder)
        if cache is not None:
            undo.callback(cache.close)
        with as_unfit_node():
            source = NodeSource(url, OverlayStore(cache or MemoryStore()), overlay=overlay)
        try:
            with as_unfit_node():
                source.require_own_rules()
                found = past_replay.tipsets_of_node(source, *span)
            if cache is not None:
                past_replay.store_fetched_blocks(cache, source.blocks.take())
        finally:
            source.close()
        undo.callback(past_replay.close_sources)
        path = None if folder is None else folder.resolve()
        work = partial(past_replay.replay_of_node, url, path, parallel=parallel, overlay=overlay)
        lost = past_replay.lost_node_tipset
        for done in run_all(work, found, workers, "tipsets", lost=lost):
            if cache is not None:
                past_replay.store_fetched_blocks(cache, done.fetched)
            yield done.tipset


def _count_text(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def extract(
    what: Annotated[
        list[str], typer.Argument(metavar="TX|CID|EPOCH...", help="Transaction hash, message CID, or epoch.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE|DIR", help="Output file, or existing folder for one file each.")],
    rpc_url: Annotated[
        str | None,
        typer.Option("--rpc-url", "--rpc", metavar="URL", envvar=URL_VARIABLE, help="URL of the node."),
    ] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of a chain, instead of a node.")] = None,
    bundle_dir: Annotated[
        Path | None,
        typer.Option(help="Additional folder of official bundles (default: bundles/ in FVM_DATA, ../shared)."),
    ] = None,
    network: DraftFile = None,
    workers: Workers = CORES,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object per vector.")] = False,
) -> None:
    """Extract a test vector from a message or tipset, with exactly the blocks that its execution reads.

    The format is that of filecoin-project/test-vectors: class message for a transaction or message, class tipset for
    an epoch, including randomness, circulating supply, base fee and receipts. The built-in actors are not included:
    the vector names the manifest of their bundle. Blocks of a node (Lotus, Forest,
    `hypervisor node`) are fetched once and checked against their CIDs. The vector is written only if re-execution
    produces the chain's receipts and state, and if the vector itself passes. --network names the draft version that
    the chain follows; `hypervisor conformance` needs it too.

    Exit status: 0 if the vectors were written, 1 if re-execution differs from the chain, 2 for invalid input.

    Example: hypervisor extract 12 --state chain --out tipset.json

    Example: hypervisor extract 0x5fbd...0aa3 --rpc-url http://127.0.0.1:8545 --out message.json

    Example: hypervisor extract 12 13 14 --state chain --out vectors
    """
    from hypervisor.installation import check_output
    from hypervisor_tools.cli.vectors import data_folder
    from hypervisor_tools.jobs.run import run_all
    from hypervisor_tools.laboratory.drafts import read_draft
    from hypervisor_tools.laboratory.vectors.extract import extract_from, write_vector

    if len(what) > 1 and not out.is_dir():
        raise InvalidInput(f"{len(what)} vectors need a folder, and {out} is not one: create it, or name one vector")
    check_output(out, "the vector")
    overlay = None if network is None else read_draft(Path(network)).overlay
    if state is not None:
        check_folder(state)
        state = state.resolve()
    bundles = bundle_dir or data_folder("bundles")
    work = partial(extract_from, url=rpc_url or URL, folder=state, overlay=overlay, bundles=bundles)
    for wanted, found in zip(what, run_all(work, what, workers, "vectors"), strict=True):
        file = out / f"{wanted}.json" if out.is_dir() else out
        write_vector(file, found.vector)
        _show_vector(file, found, as_json=as_json)


def _show_vector(file: Path, found: ExtractedVector, *, as_json: bool) -> None:
    facts = {
        "vector": found.vector["_meta"]["id"],
        "class": found.vector["class"],
        "file": str(file),
        "blocks": found.blocks,
        "results": found.results,
        "size": file.stat().st_size,
        "bundle": found.vector["bundle"]["/"],
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(
        f"{file}: {facts['vector']}, class {facts['class']}, {found.blocks:,} blocks, {found.results:,} "
        f"result{'' if found.results == 1 else 's'}, {facts['size']:,} bytes; it passes "
        f"with the bundle {facts['bundle']}"
    )
