"""`hypervisor gc`: delete unreachable blocks."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated

import typer

from fvm_hypervisor.cli.options import refuse_nan

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.rocks.collector import CollectionResult

_UNFINISHED = 3
_COMPACTING = 0.1


def gc(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Folder of a machine or chain.", show_default=False)
    ] = None,
    states: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of recent tipsets whose states are retained (default: all).", show_default=False
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0, callback=refuse_nan, help="Stop after this many seconds; the next run continues.", show_default=False
        ),
    ] = None,
    rpc_url: Annotated[
        str | None,
        typer.Option("--rpc-url", metavar="URL", help="Run on the node that has the folder open.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Delete blocks of a folder that no state, receipt, message or pin references, and release their disk space.

    It may be interrupted and run again at any time. If a node has the folder open, pass the node's URL instead; the
    node keeps serving requests. (`hypervisor node --keep-states` collects automatically.)

    Example: hypervisor gc chain --states 900

    Example: hypervisor gc --rpc-url http://127.0.0.1:8545
    """
    from fvm_hypervisor.cli.progress import status_line
    from hypervisor.errors import InvalidInput

    if (folder is None) == (rpc_url is None):
        raise InvalidInput("missing argument: pass a folder, or with --rpc-url the node that has it open")
    with status_line("collecting") as update_status:

        def progress(phase: str, retained: int, dropped: int) -> None:
            if update_status is not None:
                update_status(f"{phase}, {retained:,} kept, {dropped:,} dropped")

        if folder is not None:
            done = _in_folder(folder, states, seconds, progress)
        else:
            done = _at_node(str(rpc_url), states, seconds, progress)
    if done is None:
        typer.echo("the time limit is reached: run the command again to continue", err=True)
        raise typer.Exit(_UNFINISHED)
    if as_json:
        fields = {"kept": done.retained, "dropped": done.dropped}
        typer.echo(json.dumps(fields | {"size_before": done.size_before, "size_after": done.size_after}))
        return
    typer.echo(
        f"{done.retained:,} blocks kept, {done.dropped:,} dropped; {done.size_before:,} bytes before, "
        f"{done.size_after:,} after"
    )


def _in_folder(
    folder: Path, states: int | None, seconds: float | None, progress: Callable[[str, int, int], None]
) -> CollectionResult | None:
    from fvm_hypervisor.cli.folders import open_folder
    from hypervisor.errors import InvalidInput
    from localnet.chain.retention import chain_roots, forget_states
    from localnet.fork.ethereum_fork import reads_from_node
    from store.blockstore import StoreLocked
    from store.rocks.collector import GarbageCollector

    try:
        opened = open_folder(folder, read_only=False)
    except StoreLocked:
        raise StoreLocked(
            f"the store in {folder} is open in another process: if that is a node, pass its URL instead of the folder "
            "(--rpc-url URL); the node stays available"
        ) from None
    with opened as store:
        if reads_from_node(store):
            raise InvalidInput(
                f"{folder} contains a fork, which has only the blocks that were read: nothing is collected"
            )
        if states is not None:
            forget_states(store, states)
        collector = GarbageCollector(store, lambda: chain_roots(store))
        return collector.run(lambda found: progress(found.phase, found.retained, found.dropped), seconds)


def _at_node(
    url: str, states: int | None, seconds: float | None, progress: Callable[[str, int, int], None]
) -> CollectionResult | None:
    from localnet.fork.node_client import NodeClient, NodeError, redacted_url
    from store.rocks.collector import CollectionResult

    until = None if seconds is None else monotonic() + seconds
    params: list[int] = [] if states is None else [states]
    with NodeClient(url) as client:
        while until is None or monotonic() <= until:
            match client.request("hypervisor_collectGarbage", *params):
                case {
                    "phase": "done",
                    "kept": int(retained),
                    "dropped": int(dropped),
                    "sizeBefore": int(before),
                    "sizeAfter": int(after),
                }:
                    return CollectionResult(retained, dropped, before, after)
                case {"phase": str(phase), "kept": int(retained), "dropped": int(dropped)}:
                    progress(phase, retained, dropped)
                    if phase == "compact":  # the node releases the disk space in the background
                        sleep(_COMPACTING)
                case _:
                    raise NodeError(
                        f"{redacted_url(url)} returned no status of a collection: is it a `hypervisor node`?"
                    )
    return None
