"""`hypervisor inspect`: show the value at a path in the state of a machine or chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from localnet.state.inspection import StateInspector

_PATH = "ACTOR, ACTOR/FIELD, or ACTOR/state/... with names of the actor's schema (default: list the actors)."


def inspect(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Folder of a machine or chain; omit it with --verify.", show_default=False
        ),
    ] = None,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help=_PATH, show_default=False)] = "",
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
    from hypervisor.errors import InvalidInput

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
    """Raise InvalidInput for a path in receipts without a block header."""
    from hypervisor.errors import InvalidInput

    if block is None and path.split("/")[0] == "receipts":
        raise InvalidInput("receipts are not part of the state: pass the block header that contains them, --block CID")


def _inspect_folder(
    folder: Path, root: str | None, block: str | None, path: str, limit: int, proof: Path | None
) -> Any:
    """Return the value at the path, and write the blocks that prove it to `proof`."""
    from fvm_hypervisor.cli.folders import head_of, parse_block_cid, reading
    from fvm_hypervisor.laboratory.proofs.filecoin import read_proven_path
    from hypervisor.installation import check_output
    from localnet.state.actor_interfaces import StoredSchemas
    from localnet.state.inspection import StateInspector
    from store.blocks.overlay import RecordingBlockstore
    from store.car.transfer import write_blocks
    from store.cid import show

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
    """Print to stderr why the state at a path is undecoded although its actor has a schema."""
    from hypervisor.text import printable

    steps = [step for step in path.split("/") if step]
    if steps[1:2] == ["state"] and (fault := inspector.schema_fault(steps[0])):
        typer.echo(f"note: shown undecoded: {printable(fault)}", err=True)


def _inspect_proof(file: Path, root: str | None, block: str | None, path: str, limit: int) -> tuple[str, Any]:
    """Return a proof's root and the value at `path` in its blocks. Raises ProofError, InvalidInput."""
    from fvm_hypervisor.cli.folders import parse_block_cid
    from fvm_hypervisor.laboratory.proofs.filecoin import inspect_file, inspect_state, proving, read_proof
    from store.cid import show

    if block is not None:
        header, found = inspect_file(file, path, parse_block_cid(block), limit)
        return show(header), found
    start, blocks = read_proof(file)
    if root is not None:
        start = parse_block_cid(root)
    with proving(f"{file} does not prove the value at '{path}' in the state {show(start)}"):
        return show(start), inspect_state(blocks, start, path, limit)


def _print(found: Any, path: str) -> None:
    """Print text output: one line per actor without a path, else one line per value."""
    from hypervisor.text import printable

    if not path.strip("/"):
        for actor, fields in found.items():
            typer.echo(f"{actor:<10} {fields['type']:<18} {fields['balance']} attoFIL")
        return
    for name, value in _lines(found):
        text = printable(value, len(value)) if isinstance(value, str) else json.dumps(value)
        typer.echo(f"{printable(name, len(name))}  {text}" if name else text)


def _lines(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each leaf."""
    if isinstance(value, dict) and value and value.keys() != {"/"}:
        for key, item in value.items():
            yield from _lines(item, f"{path}/{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        yield from _lines({str(index): item for index, item in enumerate(value)}, path)
    elif isinstance(value, dict) and value:
        yield path, value["/"]
    else:
        yield path, value
