"""`hypervisor bundle`: the sets of built-in actors."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Bundles of built-in actors: list and verify.", no_args_is_help=True)

_Car = Annotated[
    Path | None, typer.Argument(metavar="[CAR]", help="A bundle's CAR file (default: the embedded bundle).")
]


@app.command("list")
def list_actors(car: _Car = None) -> None:
    """List the actors of a bundle: type number, name, code CID, size, and the runtime that executes it."""
    from hypervisor.bundle import ACTOR_NAMES, Bundle, marked_runtime
    from hypervisor.registry import NATIVE
    from store.cid import show

    bundle = Bundle.embedded() if car is None else Bundle.open(car)
    modules = dict(bundle.blocks)
    typer.echo(f"manifest root {show(bundle.root)}")
    typer.echo(f"manifest data {show(bundle.manifest.data)}")
    for number, (name, code) in enumerate(zip(ACTOR_NAMES, bundle.manifest.codes, strict=True), 1):
        module = modules[code]
        typer.echo(f"{number:>2}  {name:<17} {show(code)}  {len(module):>9,} bytes  {marked_runtime(module) or NATIVE}")


@app.command("verify")
def verify(car: _Car = None) -> None:
    """Check a bundle: the hash of each block, the manifest's names and order, and every module's validity."""
    from hypervisor.bundle import ACTOR_NAMES, Bundle
    from hypervisor.registry import NATIVE, Registry
    from hypervisor.runtime import RuntimeServices
    from store.cid import show

    bundle = Bundle.embedded() if car is None else Bundle.open(car)
    modules = dict(bundle.blocks)
    registry = Registry(RuntimeServices(), {})
    for name, code in zip(ACTOR_NAMES, bundle.manifest.codes, strict=True):
        _, runtime = registry.runtime_for(code)
        runtime.prepare({code: modules[code]})
        typer.echo(f"ok  {name}", err=True)
    typer.echo(f"{show(bundle.root)}: {len(bundle.manifest.codes)} actors, all valid under the runtime '{NATIVE}'")
