"""`hypervisor bundle`: fetch, verify, list and build bundles of built-in actors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypervisor.errors import BundleError
from hypervisor_tools.cli.options import bytes_bar
from store.cid import show

if TYPE_CHECKING:
    from hypervisor.bundles.bundle import Bundle

app = typer.Typer(
    help="Manage bundles of built-in actors: fetch, add, make, build, list, verify.", no_args_is_help=True
)

_BUNDLE = "A name (own, v18, v18-devnet) or a CAR file"
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("fetch")
def fetch(
    release: Annotated[str, typer.Argument(metavar="vN", help="Actors version, such as v18 or v18-devnet.")],
    network: Annotated[
        str | None, typer.Option(help="Network whose constants are compiled in.", show_default="mainnet")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="Alternative URL of the file (default: the official release)."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Download an official bundle for use with --bundle.

    The content must match a manifest CID that is known to this version. An interrupted download is resumed. The
    folder is FVM_BUNDLE_DIR, or else the user's data folder.

    Example: hypervisor bundle fetch v18 --network devnet
    """
    from hypervisor.bundles.bundle_library import find_release, release_file
    from hypervisor_tools.bundles import fetch as fetch_release

    wanted = find_release(release, network)
    with bytes_bar(f"fetching {wanted.name}") as progress:
        path = fetch_release(wanted, source, progress)
    found = {"release": wanted.name, "manifest_root": wanted.manifest_root, "path": str(release_file(wanted))}
    if as_json:
        typer.echo(json.dumps(found | {"fetched": path is not None}))
        return
    typer.echo(f"{wanted.name} ({wanted.manifest_root}) {'was already installed' if path is None else 'is installed'}")
    typer.echo(found["path"])


@app.command("add")
def add(
    car: Annotated[str, typer.Argument(metavar="FILE", help="CAR file of an official release.")],
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="vN-NETWORK", help="Release, if its manifest CID is unknown to this version."),
    ] = None,
    unpinned: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Custom name for a bundle that is not a release."),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Copy a bundle to the user's folder: an official release under its name, or a custom one under your name.

    --as names the release of a file that is newer than this version. Its manifest CID is then trusted in this folder.
    --unpinned assigns a custom name, which a later call may assign to another file.

    Example: hypervisor bundle add builtin-actors-mainnet.car

    Example: hypervisor bundle add mine.car --unpinned mine

    Example: hypervisor bundle add builtin-actors-devnet.car --as v19-devnet
    """
    from hypervisor_tools.bundles import add as add_release
    from hypervisor_tools.bundles import add_unpinned

    if unpinned is not None:
        if name is not None:
            raise BundleError(
                "--as (for a release) and --unpinned (for a custom bundle) cannot be used together: pass one of them"
            )
        root, path = add_unpinned(Path(car), unpinned)
        typer.echo(
            json.dumps({"name": unpinned, "manifest_root": root, "path": str(path)})
            if as_json
            else f"{unpinned} ({root}) is installed\n{path}"
        )
        return
    release, path = add_release(Path(car), name)
    if as_json:
        found = {"release": release.name, "manifest_root": release.manifest_root, "path": str(path)}
        typer.echo(json.dumps(found))
        return
    typer.echo(f"{release.name} ({release.manifest_root}) is installed\n{path}")


@app.command("list")
def list_bundles(
    bundle: Annotated[
        str | None,
        typer.Argument(metavar="[BUNDLE]", help=f"{_BUNDLE}, to list its actors.", show_default="all bundles"),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """List the available bundles, or the actors of one: type number, name, code CID, size, imports and exports.

    Example: hypervisor bundle list v18
    """
    if bundle is not None:
        _list_actors(bundle, as_json)
        return
    rows = list(_at_hand())
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['name']:<24} {row['manifest_root']}  {row['path'] or 'in this package'}")
    typer.echo("`hypervisor bundle fetch v18` gets an official one.")


@app.command("verify")
def verify(
    bundle: Annotated[str, typer.Argument(metavar="[BUNDLE]", help=f"{_BUNDLE}.")] = "own",
    as_json: _AsJson = False,
) -> None:
    """Verify a bundle: block hashes, the manifest's names and order, and every module against the network's rules.

    For this project's own bundle the build record is verified too. Exit status: 0 if the bundle is valid, 2 if not.

    Example: hypervisor bundle verify builtin-actors.car
    """
    from hypervisor_tools.bundles import check_modules, describe

    opened = _open(bundle)
    found = describe(opened)
    check_modules(opened)
    if as_json:
        typer.echo(json.dumps({key: found[key] for key in ("manifest_root", "release", "record")} | {"valid": True}))
        return
    known = "" if found["release"] is None else f", the release {found['release']}"
    typer.echo(f"{found['manifest_root']}: {len(found['actors'])} actors, all valid{known}")


@app.command("build")
def build(
    base: Annotated[str, typer.Argument(metavar="BUNDLE", help=f"{_BUNDLE}, to take the other actors from.")],
    actor: Annotated[
        list[str], typer.Option("--actor", metavar="NAME=WASM", help="Replacement module for an actor; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="CAR", help="Output file.")],
    as_json: _AsJson = False,
) -> None:
    """Write a copy of a bundle with other code for some actors, for `node --bundle`, upgrades and `compare`.

    Example: hypervisor bundle build own-v19 --actor datacap=datacap.wasm --out mine.car
    """
    from hypervisor.bundles.bundle import MAX_BUNDLE_BYTES, Bundle
    from hypervisor.installation import check_output, read_bounded
    from hypervisor_tools.bundles import build as build_bundle

    check_output(out, "the bundle")
    modules: dict[str, bytes] = {}
    for text in actor:
        name, sign, file = text.partition("=")
        if not sign or not file:
            raise BundleError(f"--actor {text!r:.80}: expected NAME=FILE, as in datacap=datacap.wasm")
        modules[name] = read_bounded(Path(file), MAX_BUNDLE_BYTES, "module", BundleError)
    data = build_bundle(_open(base), modules)
    out.write_bytes(data)
    root = show(Bundle.from_car(data).root)
    typer.echo(json.dumps({"manifest_root": root, "path": str(out)}) if as_json else f"{out}: manifest root {root}")


@app.command("make")
def make(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="WASM modules named after their actors: datacap.wasm.")],
    out: Annotated[Path, typer.Option("--out", metavar="CAR", help="Output file.")],
    base: Annotated[
        str | None, typer.Option(metavar="BUNDLE", help=f"{_BUNDLE}, to take the actors from that are not there.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Write a bundle of the modules in a folder.

    A running network can upgrade to it at its own version: `hypervisor_upgrade`, `network.upgrade(29, "mine.car")`.

    Example: hypervisor bundle make build --base own-v19 --out mine.car
    """
    from hypervisor.bundles.bundle import Bundle
    from hypervisor_tools.bundles import make as make_bundle
    from hypervisor_tools.bundles import modules_in

    data = make_bundle(modules_in(folder), None if base is None else _open(base))
    out.write_bytes(data)
    root = show(Bundle.from_car(data).root)
    typer.echo(json.dumps({"manifest_root": root, "path": str(out)}) if as_json else f"{out}: manifest root {root}")


def _at_hand() -> list[dict[str, Any]]:
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.bundles.bundle_library import downloaded_releases, known_releases, own_bundles, unpinned_bundles

    own = [
        {"name": name, "manifest_root": show(Bundle.embedded(variant).root), "path": None}
        for name, variant in own_bundles().items()
    ]
    known = known_releases()
    installed = [
        {"name": name, "manifest_root": known[name].manifest_root, "path": str(path)}
        for name, path in downloaded_releases().items()
    ]
    return [*own, *installed, *map(_unpinned_row, unpinned_bundles().items())]


def _unpinned_row(installed: tuple[str, Path]) -> dict[str, Any]:
    from hypervisor.bundles.bundle import Bundle

    name, path = installed
    try:
        return {"name": name, "manifest_root": show(Bundle.from_file(path).root), "path": str(path)}
    except BundleError:
        return {"name": name, "manifest_root": "(damaged)", "path": str(path)}


def _list_actors(bundle: str, as_json: bool) -> None:
    from hypervisor_tools.bundles import describe

    found = describe(_open(bundle))
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"manifest root {found['manifest_root']}")
    typer.echo(f"manifest data {found['manifest_data']}")
    if found["release"] is not None:
        typer.echo(f"the release {found['release']} of filecoin-project/builtin-actors")
    for actor in found["actors"]:
        functions = f"{len(actor['imports'])} imports, exports {', '.join(actor['exports']) or 'nothing'}"
        line = f"{actor['type']:>2}  {actor['name']:<17} {actor['code']}  {actor['size']:>9,} bytes  {actor['runtime']}"
        typer.echo(f"{line}  {functions}")
    if found["record"] is not None:
        typer.echo(f"made by {found['record']['compiler']} of sources with the hash {found['record']['source_hash']}")


def _open(bundle: str) -> Bundle:
    from hypervisor.bundles.bundle import Bundle

    return Bundle.open(bundle)
