"""`hypervisor doctor`: check the installation or a running node, with one line per check."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.options import RESPONSE_TIME, AsJson, ResponseTimeout
from store.cid import show

_PYTHONS = ((3, 11), (3, 14))

Check = tuple[str, Callable[[], str]]


def doctor(
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="URL of a node to check (default: the installation).")
    ] = None,
    rpc_url: Annotated[
        str | None, typer.Option("--rpc-url", "--rpc", metavar="URL", help="Same as the argument.")
    ] = None,
    timeout: ResponseTimeout = RESPONSE_TIME,
    as_json: AsJson = False,
) -> None:
    """Check the installation or a running node, and suggest a remedy for each problem.

    Installation: Python, packages, libraries, runtimes, embedded bundle, Solidity compilers, and a
    message through both runtimes. Node: network, rules and labs, signing, Filecoin's methods and precompiles, traces.
    Exit status 1 if a check fails.

    Example: hypervisor doctor

    Example: hypervisor doctor http://127.0.0.1:8545
    """
    if url is not None and rpc_url not in (None, url):
        raise InvalidInput(f"two nodes are named, {url} and --rpc-url {rpc_url}: omit one of them")
    node, results = url or rpc_url, []
    for name, check in _CHECKS if node is None else _node_checks(node):
        try:
            ok, text = True, check()
        except Exception as error:  # noqa: BLE001  # report any error as a failed check and continue
            ok, text = False, str(error) or type(error).__name__
        results.append({"name": name, "ok": ok, "result": text})
        if not as_json:
            typer.echo(f"{'ok   ' if ok else 'FAIL '} {name}: {text}")
    if as_json:
        typer.echo(json.dumps({"ok": all(result["ok"] for result in results), "checks": results}))
    if not all(result["ok"] for result in results):
        raise typer.Exit(1)


def _node_checks(url: str) -> Iterable[Check]:
    from hypervisor_tools.cli.node_checks import node_checks
    from localnet.fork.node_client import NodeClient

    NodeClient(url).close()  # an invalid URL is a usage error, not a failed check
    return node_checks(url)


def _python() -> str:
    found = sys.version_info[:2]
    if not _PYTHONS[0] <= found <= _PYTHONS[1]:
        raise RuntimeError(f"Python {found[0]}.{found[1]} is not supported: install Python 3.11 to 3.14")
    return sys.version.split()[0]


def _packages() -> str:
    from hypervisor_tools.cli.installation import PACKAGES, damaged_packages

    if problems := damaged_packages():
        raise RuntimeError("; ".join(problems))
    return ", ".join(PACKAGES)


def _libraries() -> str:
    return ", ".join(f"{name} {_version(name)}" for name in ("wasmtime", "py-evm", "rocksdict", "cbor2"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        raise RuntimeError(f"{name} is not installed: install fvm-hypervisor again") from None


def _bundle() -> str:
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.versions.network_versions import LATEST

    bundle = Bundle.for_actors(LATEST.actors)
    return f"{len(bundle.manifest.codes)} actors v{LATEST.actors} of nv{LATEST.number}, root {show(bundle.root)}"


def _runtimes() -> str:
    from hypervisor.installation import entry_points_of
    from hypervisor.machine.registry import ENTRY_POINT_GROUP, OWN_RUNTIMES

    return ", ".join(sorted({*OWN_RUNTIMES, *entry_points_of(group=ENTRY_POINT_GROUP).names}))


def _labs() -> str:
    from hypervisor.machine.rules import lab, lab_names

    return "".join(f"\n      {name}: {lab(name).what}" for name in lab_names()) or "none"


def _precompiles() -> str:
    from hypervisor.machine.rules import precompile_names

    return ", ".join(precompile_names()) or "none"


def _compilers() -> str:
    from pathlib import Path

    from hypervisor_tools.soltest.compile.solc import installed_compilers

    found = [f"{version} ({origin})" for version, origin in installed_compilers(Path.cwd())]
    return ", ".join(found) or "none yet: `hypervisor test` fetches the release that a project asks for"


def _message() -> str:
    import tempfile
    from pathlib import Path

    from hypervisor_tools.cli.demo import scenario

    with tempfile.TemporaryDirectory() as folder:
        finished = scenario.run(Path(folder) / "state")
    return f"{len(finished.steps)} steps of the demonstration"


_CHECKS: tuple[Check, ...] = (
    ("Python", _python),
    ("packages", _packages),
    ("libraries", _libraries),
    ("runtimes", _runtimes),
    ("labs", _labs),
    ("users' precompiles", _precompiles),
    ("embedded bundle", _bundle),
    ("Solidity compilers", _compilers),
    ("both runtimes", _message),
)
