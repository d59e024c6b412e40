"""`hypervisor car`: verify, export and import CAR files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fvm_hypervisor.cli.folders import Folder

if TYPE_CHECKING:
    from store.car.transfer import CarSummary
    from store.rocks.database import RocksStore

app = typer.Typer(help="Import, export and verify states as CAR files.", no_args_is_help=True)

_File = Annotated[Path, typer.Argument(metavar="CAR", help="CAR file.", show_default=False)]
_Strict = Annotated[
    bool, typer.Option("--strict", help="Decode each DAG-CBOR block with two strict decoders (a minute per 15 MB).")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_AFTER_STATE: Final = """hypervisor inspect {folder} --root {root}
             `hypervisor node --state {folder}` would not use this state, but create a new chain. To start a network,
             import a chain snapshot with --chain, or pass a file of `node --dump-state` to `node --load-state`."""
_AFTER_CHAIN: Final = "hypervisor node --state {folder}"


@app.command("verify")
def verify(car: _File, strict: _Strict = False, as_json: _AsJson = False) -> None:
    """Verify a CAR file: the hash of each block, its links, and the index if there is one.

    Blocks are scanned for links as the network does, which accepts blocks that a strict DAG-CBOR decoder rejects,
    such as unsorted keys or invalid UTF-8. With --strict such a block is an error: this project's decoder and the
    package dag-cbor must both accept it as canonical and decode the same value.

    Exit status: 0 if the file is complete, 1 if a root or link is not in it, 2 if it is damaged.

    Example: hypervisor car verify state.car
    """
    from fvm_hypervisor.cli.progress import bytes_bar
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
    from fvm_hypervisor.cli.folders import head_of, parse_block_cid, reading
    from fvm_hypervisor.cli.progress import bytes_bar
    from hypervisor.errors import InvalidInput
    from hypervisor.installation import writing
    from store.car.selectors import SelectorError, parse_selector, selected_blocks
    from store.car.transfer import export_car, write_blocks
    from store.cid import show
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
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a machine; created if missing.", show_default=False)
    ],
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
    as_json: _AsJson = False,
) -> None:
    """Verify a CAR file and store its blocks, all or none. An interrupted import is resumed.

    The first root is pinned: `hypervisor inspect DIR --root CID` shows it, and `hypervisor gc` retains it. With
    --chain the file is a chain snapshot exported by a Filecoin node, which `hypervisor node --state DIR` continues.

    Example: hypervisor car import chain state.car --pin yesterday

    Example: hypervisor car import calibration snapshot.car --chain
    """
    from fvm_hypervisor.cli.progress import bytes_bar
    from hypervisor.errors import InvalidInput
    from localnet.chain.chain_snapshot import check_empty
    from store.car.files import read_car
    from store.car.transfer import import_car
    from store.cid import show
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
    """Name the file in errors about its content."""
    from store.car.files import CarError

    try:
        yield
    except CarError as error:
        text = str(error)
        raise CarError(text if text.startswith(f"{car}: ") else f"{car}: {text}") from None


def _begin(store: RocksStore, summary: CarSummary, network: str | None) -> None:
    from fvm_hypervisor.cli.options import parsed_network
    from localnet.chain.chain_snapshot import begin_from, network_of, read_chain_snapshot

    snapshot = read_chain_snapshot(store, summary.roots)
    version = network_of(store, snapshot) if network is None else parsed_network(network)
    begin_from(store, snapshot, version)


def _report(summary: CarSummary, as_json: bool) -> None:
    from store.cid import show

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
