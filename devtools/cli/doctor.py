"""`hypervisor doctor`: whether this installation is whole, each check in one line."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import typer

_PYTHONS = ((3, 11), (3, 13))


def doctor() -> None:
    """Check the installation: Python, libraries, runtimes, the embedded bundle, a message through both runtimes."""
    failed = 0
    for name, check in _CHECKS:
        try:
            typer.echo(f"ok    {name}: {check()}")
        except Exception as error:  # noqa: BLE001  # a doctor reports whatever is wrong, and goes on
            failed += 1
            typer.echo(f"FAIL  {name}: {error}")
    if failed:
        raise typer.Exit(1)


def _python() -> str:
    found = sys.version_info[:2]
    if not _PYTHONS[0] <= found <= _PYTHONS[1]:
        raise RuntimeError(f"Python {found[0]}.{found[1]} is outside 3.11 to 3.13: install one of those")
    return sys.version.split()[0]


def _libraries() -> str:
    return ", ".join(f"{name} {_version(name)}" for name in ("wasmtime", "py-evm", "rocksdict", "cbor2"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        raise RuntimeError(f"{name} is not installed: install fvm-hypervisor again") from None


def _bundle() -> str:
    from hypervisor.bundle import Bundle
    from store.cid import show

    bundle = Bundle.embedded()
    return f"{len(bundle.manifest.codes)} actors, root {show(bundle.root)}"


def _runtimes() -> str:
    from importlib.metadata import entry_points

    from hypervisor.registry import ENTRY_POINT_GROUP

    names = sorted({entry_point.name for entry_point in entry_points(group=ENTRY_POINT_GROUP)})
    missing = {"wasm", "evm"} - set(names)
    if missing:
        raise RuntimeError(f"no entry point of {ENTRY_POINT_GROUP} for {', '.join(sorted(missing))}: install again")
    return ", ".join(names)


def _message() -> str:
    import tempfile
    from pathlib import Path

    from devtools.demo import scenario

    with tempfile.TemporaryDirectory() as folder:
        finished = scenario.run(Path(folder) / "state")
    return f"{len(finished.steps)} steps of the demonstration"


_CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("Python", _python),
    ("libraries", _libraries),
    ("runtimes", _runtimes),
    ("embedded bundle", _bundle),
    ("both runtimes", _message),
)
