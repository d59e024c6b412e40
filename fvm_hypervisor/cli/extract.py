"""`hypervisor extract`: write a test vector from a message or tipset of a chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fvm_hypervisor.cli.options import URL_VARIABLE, DraftFile

if TYPE_CHECKING:
    from hypervisor.versions.overlay import Overlay
    from localnet.chain.tipset_sources import TipsetSource


def extract(
    what: Annotated[
        str,
        typer.Argument(metavar="TX|CID|EPOCH", help="Transaction hash, message CID, or epoch.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Output file.", show_default=False)],
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Extract a test vector from a message or tipset, with exactly the blocks that its execution reads.

    The format is that of filecoin-project/test-vectors: class message for a transaction or message, class tipset for
    an epoch, including randomness, circulating supply, base fee and receipts. The built-in actors are not included:
    the vector names the manifest of their bundle. Blocks of a node (Lotus, Forest,
    `hypervisor node`) are fetched once and checked against their CIDs. The vector is written only if re-execution
    produces the chain's receipts and state, and if the vector itself passes. --network names the draft version that
    the chain follows; `hypervisor conformance` needs it too.

    Exit status: 0 if the vector was written, 1 if re-execution differs from the chain, 2 for invalid input.

    Example: hypervisor extract 12 --state chain --out tipset.json

    Example: hypervisor extract 0x5fbd...0aa3 --rpc-url http://127.0.0.1:8545 --out message.json
    """
    from fvm_hypervisor.cli.vectors import data_folder
    from fvm_hypervisor.laboratory.drafts import read_draft
    from fvm_hypervisor.laboratory.vectors import extract as extraction
    from fvm_hypervisor.laboratory.vectors.bundles import BundleFolder
    from fvm_hypervisor.laboratory.vectors.writing import write_vector
    from hypervisor.installation import check_output

    check_output(out, "the vector")
    with _source(rpc_url, state, None if network is None else read_draft(Path(network)).overlay) as source:
        found = extraction.extract(source, BundleFolder(bundle_dir or data_folder("bundles")), what)
    write_vector(out, found.vector)
    facts = {
        "vector": found.vector["_meta"]["id"],
        "class": found.vector["class"],
        "file": str(out),
        "blocks": found.blocks,
        "results": found.results,
        "size": out.stat().st_size,
        "bundle": found.vector["bundle"]["/"],
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(
        f"{out}: {facts['vector']}, class {facts['class']}, {found.blocks:,} blocks, {found.results:,} "
        f"result{'' if found.results == 1 else 's'}, {facts['size']:,} bytes; it passes "
        f"with the bundle {facts['bundle']}"
    )


@contextmanager
def _source(url: str | None, folder: Path | None, overlay: Overlay | None) -> Iterator[TipsetSource]:
    """Open the chain that the options name; a folder takes precedence over the environment's node."""
    from fvm_hypervisor.cli.folders import check_folder
    from fvm_hypervisor.cli.options import URL
    from fvm_hypervisor.cli.progress import status_line
    from localnet.chain.folder_source import FolderSource
    from localnet.chain.node_source import NodeSource

    if folder is not None:
        check_folder(folder)
    with status_line("executing") as progress:
        watch = (lambda _: None) if progress is None else (lambda count: progress(f"{count:,} blocks fetched"))
        source: TipsetSource = (
            NodeSource(url or URL, watch=watch, overlay=overlay) if folder is None else FolderSource(folder, overlay)
        )
        try:
            yield source
        finally:
            source.close()
