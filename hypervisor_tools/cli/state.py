"""`hypervisor inspect`, `car` and `gc`: show, export, import and prune the state in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.folders import Folder, head_of, open_folder, parse_block_cid, reading
from hypervisor_tools.cli.options import AsJson, bytes_bar, parsed_network, refuse_nan, status_line
from store.blockstore import StoreLocked
from store.car.files import CarError, read_car
from store.cid import show

if TYPE_CHECKING:
    from collections.abc import Callable

    from localnet.state.inspection import StateInspector
    from store.car.transfer import CarSummary
    from store.rocks.collector import CollectionResult
    from store.rocks.database import RocksStore

_PATH = "ACTOR, ACTOR/FIELD, or ACTOR/state/... with names of the actor's schema (default: list the actors)."


def inspect(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Folder of a machine or chain; omit it with --verify.")
    ] = None,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help=_PATH)] = "",
    root: Annotated[str | None, typer.Option(metavar="CID", help="State root CID (default: the newest state).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of entries shown per map or list.")] = 100,
    proof: Annotated[
        Path | None,
        typer.Option(metavar="CAR", help="Write a proof to this file: the blocks from the root to the value."),
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(metavar="CAR", help="Inspect a file written by --proof, instead of a folder.")
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(
            metavar="CID",
            help="CID of a block header, instead of a state root; PATH may also be receipts/MESSAGE/events/EVENT.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Show the value at a path in a machine's state. This also works while a node has the folder open.

    --verify needs no folder: each block of the proof is checked against its CID, and the path is resolved from the
    root in these blocks only. --root names the state root that you trust; without it, the root in the file is used and
    printed. Compare that root with one that you trust. The state of an actor without a schema is shown without names.

    --block starts at a block header instead. It contains the state and the receipts after the tipset before it.

    Exit status: 0 if the value exists, 1 if it does not or is not proven, 2 for invalid input.

    Example: hypervisor inspect chain f04/state/claims

    Example: hypervisor inspect f04/state/claims --verify proof.car --root bafy...

    Example: hypervisor inspect receipts/0/events/0 --verify proof.car --block bafy...
    """
    if block is not None and root is not None:
        raise InvalidInput("--block and --root cannot be used together: a block header contains a state root")
    if verify is not None:
        if folder is not None and path:
            raise InvalidInput("--verify reads the proof instead of a folder: omit the folder")
        if proof is not None:
            raise InvalidInput(
                "--proof and --verify cannot be used together: the first writes a proof, the second reads one"
            )
        path = path if folder is None else str(folder)
        _check_start(path, block)
        start, found = _inspect_proof(verify, root, block, path, limit)
        if root is None and block is None and not as_json:
            typer.echo(
                f"the root in the file is {start}: compare it with a state root that you trust, or pass --root",
                err=True,
            )
    elif folder is None:
        raise InvalidInput("missing argument: a folder, or a proof file with --verify")
    else:
        _check_start(path, block)
        found = _inspect_folder(folder, root, block, path, limit, proof)
    if as_json:
        typer.echo(json.dumps(found))
        return
    _print(found, path)


def _check_start(path: str, block: str | None) -> None:
    if block is None and path.split("/")[0] == "receipts":
        raise InvalidInput("receipts are not part of the state: pass the block header that contains them, --block CID")


def _inspect_folder(
    folder: Path, root: str | None, block: str | None, path: str, limit: int, proof: Path | None
) -> Any:
    from hypervisor.installation import check_output
    from hypervisor_tools.laboratory.proofs.filecoin import read_proven_path
    from localnet.state.actor_interfaces import StoredSchemas
    from localnet.state.inspection import StateInspector
    from store.blocks.memory import RecordingBlockstore
    from store.car.transfer import write_blocks

    check_output(proof, "the proof")
    with reading(folder) as store:
        if block is not None:
            start = parse_block_cid(block)
            recorder = RecordingBlockstore(store)
            found, take = read_proven_path(recorder, start, path, limit), recorder.take
        else:
            start = head_of(store) if root is None else parse_block_cid(root)
            inspector = StateInspector(store, start, StoredSchemas(store, store))
            found, take = inspector.read_path(path, limit), inspector.proof
            _report_fault(inspector, path)
        if proof is not None:
            with proof.open("wb") as file:
                count = write_blocks(file, [start], take())
            typer.echo(f"{proof}: {count} blocks, the root is {show(start)}", err=True)
    return found


def _report_fault(inspector: StateInspector, path: str) -> None:
    from hypervisor.text import printable

    steps = [step for step in path.split("/") if step]
    if steps[1:2] == ["state"] and (fault := inspector.schema_fault(steps[0])):
        typer.echo(f"note: shown undecoded: {printable(fault)}", err=True)


def _inspect_proof(file: Path, root: str | None, block: str | None, path: str, limit: int) -> tuple[str, Any]:
    from hypervisor_tools.laboratory.proofs.filecoin import inspect_file, inspect_state, proving, read_proof

    if block is not None:
        header, found = inspect_file(file, path, parse_block_cid(block), limit)
        return show(header), found
    start, blocks = read_proof(file)
    if root is not None:
        start = parse_block_cid(root)
    with proving(f"{file} does not prove the value at '{path}' in the state {show(start)}"):
        return show(start), inspect_state(blocks, start, path, limit)


def _print(found: Any, path: str) -> None:
    from hypervisor.text import printable

    if not path.strip("/"):
        for actor, fields in found.items():
            typer.echo(f"{actor:<10} {fields['type']:<18} {fields['balance']} attoFIL")
        return
    for name, value in _lines(found):
        text = printable(value, len(value)) if isinstance(value, str) else json.dumps(value)
        typer.echo(f"{printable(name, len(name))}  {text}" if name else text)


def _lines(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and value.keys() != {"/"}:
        for key, item in value.items():
            yield from _lines(item, f"{path}/{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        yield from _lines({str(index): item for index, item in enumerate(value)}, path)
    elif isinstance(value, dict) and value:
        yield path, value["/"]
    else:
        yield path, value


app = typer.Typer(help="Import, export and verify states as CAR files.", no_args_is_help=True)

_File = Annotated[Path, typer.Argument(metavar="CAR", help="CAR file.")]
_Strict = Annotated[
    bool, typer.Option("--strict", help="Decode each DAG-CBOR block with two strict decoders (a minute per 15 MB).")
]

_AFTER_STATE: Final = """hypervisor inspect {folder} --root {root}
             `hypervisor node --state {folder}` would not use this state, but create a new chain. To start a network,
             import a chain snapshot with --chain, or pass a file of `node --dump-state` to `node --load-state`."""
_AFTER_CHAIN: Final = "hypervisor node --state {folder}"


@app.command("verify")
def verify(car: _File, strict: _Strict = False, as_json: AsJson = False) -> None:
    """Verify a CAR file: the hash of each block, its links, and the index if there is one.

    Blocks are scanned for links as the network does, which accepts blocks that a strict DAG-CBOR decoder rejects,
    such as unsorted keys or invalid UTF-8. With --strict such a block is an error: this project's decoder and the
    package dag-cbor must both accept it as canonical and decode the same value.

    Exit status: 0 if the file is complete, 1 if a root or link is not in it, 2 if it is damaged.

    Example: hypervisor car verify state.car
    """
    from store.car.transfer import verify_car

    with _name_file_in_errors(car), bytes_bar("verifying", car.stat().st_size) as progress:
        summary = verify_car(car, strict=strict, progress=progress)
    _report(summary, as_json)
    if summary.missing:
        raise typer.Exit(1)


@app.command("export")
def export(
    folder: Folder,
    car: _File,
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="CID", help="Root block of the export; repeatable.", show_default="the state"),
    ] = None,
    selector: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Export only blocks matched by this IPLD selector (DAG-JSON).")
    ] = None,
    indexed: Annotated[bool, typer.Option("--indexed", help="Write CARv2 with an index.")] = False,
) -> None:
    """Export a folder's state, or the blocks below other roots, to a CAR file. A node may have the folder open.

    Example: hypervisor car export chain state.car
    """
    from hypervisor.installation import writing
    from store.car.selectors import SelectorError, parse_selector, selected_blocks
    from store.car.transfer import export_car, write_blocks
    from store.dag_json import decode_json

    with reading(folder) as store, bytes_bar("exporting") as progress, writing(car, "the CAR file"):
        roots = [parse_block_cid(text) for text in root or ()] or [head_of(store)]
        partial = car.with_name(car.name + ".part")
        try:
            with partial.open("wb") as file:
                if selector is None:
                    count = export_car(store, roots, file, indexed=indexed, progress=progress)
                else:
                    if len(roots) > 1:
                        raise InvalidInput("--selector needs exactly one root: pass --root once")
                    try:
                        chosen = parse_selector(decode_json(selector.read_text(encoding="utf-8")))
                    except (SelectorError, ValueError) as error:
                        raise InvalidInput(f"{selector}: {error}") from None
                    blocks = selected_blocks(store, roots[0], chosen)
                    count = write_blocks(file, roots, blocks, indexed=indexed, progress=progress)
            partial.replace(car)
        finally:
            partial.unlink(missing_ok=True)
    typer.echo(f"{car}: {count:,} blocks below {', '.join(map(show, roots))}")


@app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a machine; created if missing.")],
    car: _File,
    pin: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name that protects it from garbage collection (default: the file name)."),
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Allow links to blocks outside of the file.")] = False,
    chain: Annotated[
        bool, typer.Option("--chain", help="Import a chain snapshot and start a network from its state.")
    ] = False,
    network: Annotated[
        str | None, typer.Option(metavar="nvN", help="Network version, with --chain.", show_default="by its actors")
    ] = None,
    strict: _Strict = False,
    as_json: AsJson = False,
) -> None:
    """Verify a CAR file and store its blocks, all or none. An interrupted import is resumed.

    The first root is pinned: `hypervisor inspect DIR --root CID` shows it, and `hypervisor gc` retains it. With
    --chain the file is a chain snapshot exported by a Filecoin node, which `hypervisor node --state DIR` continues.

    Example: hypervisor car import chain state.car --pin yesterday

    Example: hypervisor car import calibration snapshot.car --chain
    """
    from localnet.replay.folder_source import check_empty
    from store.car.transfer import import_car
    from store.rocks.database import RocksStore
    from store.roots import PIN_PREFIX

    with _name_file_in_errors(car), car.open("rb") as file:
        roots = read_car(file).roots
    if not roots:
        raise InvalidInput(f"{car} has no root to pin: omit --pin")
    names = {PIN_PREFIX + (pin or car.stem).encode(): roots[0]}
    if network is not None and not chain:
        raise InvalidInput("--network needs a chain snapshot: pass --chain")
    with RocksStore.open(folder) as store, bytes_bar("importing", car.stat().st_size) as progress:
        if chain:
            check_empty(store)
        with _name_file_in_errors(car):
            summary = import_car(store, car, names, partial=partial or chain, strict=strict, progress=progress)
        if chain:
            _begin(store, summary, network)
    _report(summary, as_json)
    if not as_json:
        typer.echo(f"next         {_AFTER_CHAIN if chain else _AFTER_STATE}".format(folder=folder, root=show(roots[0])))


@contextmanager
def _name_file_in_errors(car: Path) -> Iterator[None]:
    try:
        yield
    except CarError as error:
        text = str(error)
        raise CarError(text if text.startswith(f"{car}: ") else f"{car}: {text}") from None


def _begin(store: RocksStore, summary: CarSummary, network: str | None) -> None:
    from localnet.replay.folder_source import begin_from, network_of, read_chain_snapshot

    snapshot = read_chain_snapshot(store, summary.roots)
    version = network_of(store, snapshot) if network is None else parsed_network(network)
    begin_from(store, snapshot, version)


def _report(summary: CarSummary, as_json: bool) -> None:
    found: dict[str, Any] = {
        "version": summary.version,
        "roots": [show(root) for root in summary.roots],
        "size": summary.size,
        "blocks": summary.blocks,
        "duplicates": summary.duplicates,
        "unreferenced": summary.unreferenced,
        "missing": sorted(show(cid) for cid in summary.missing),
        "indexed": summary.indexed,
    }
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        text = f"{value:,}" if type(value) is int else value
        if isinstance(value, list):
            text = ", ".join(value[:3]) + (f" and {len(value) - 3:,} more" if len(value) > 3 else "") or "none"
        typer.echo(f"{name:<13}{text}")


_UNFINISHED = 3
_COMPACTING = 0.1


def gc(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Folder of a machine or chain.")] = None,
    states: Annotated[
        int | None, typer.Option(min=1, help="Number of recent tipsets whose states are retained (default: all).")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, callback=refuse_nan, help="Stop after this many seconds; the next run continues."),
    ] = None,
    rpc_url: Annotated[
        str | None, typer.Option("--rpc-url", metavar="URL", help="Run on the node that has the folder open.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Delete blocks of a folder that no state, receipt, message or pin references, and release their disk space.

    It may be interrupted and run again at any time. If a node has the folder open, pass the node's URL instead; the
    node keeps serving requests. (`hypervisor node --keep-states` collects automatically.)

    Example: hypervisor gc chain --states 900

    Example: hypervisor gc --rpc-url http://127.0.0.1:8545
    """
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
    from localnet.chain.retention import chain_roots, forget_states
    from localnet.fork.ethereum_fork import reads_from_node
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
    from localnet.fork.node_client import NodeClient, NodeError
    from localnet.fork.urls import redacted_url
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
