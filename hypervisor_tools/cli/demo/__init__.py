"""`hypervisor demo`: a Solidity contract and a native actor call each other on one machine (`scenario`)."""

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of call trees.")] = False,
    state: Annotated[
        Path | None, typer.Option(help="Store the state in this new folder (default: a temporary folder).")
    ] = None,
) -> None:
    """Run the demo: a Solidity contract and a native WASM actor call each other.

    It uses a real solc artifact, a real WASM module, and a RocksDB folder that is closed and reopened. Each line of a
    call tree shows runtime, actor, method, value, exit code and gas.

    Example: hypervisor demo
    """
    from hypervisor_tools.cli.demo.scenario import demo_json, print_step, run
    from localnet.traces.call_text import tree_console

    console = tree_console()
    with ExitStack() as cleanup:
        if state is None:
            folder = Path(tempfile.mkdtemp(prefix="hypervisor-demo-"))
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            folder /= "state"
        elif state.exists():
            raise FileExistsError(f"the folder {state} exists already: name a new one with --state")
        else:
            folder = state
        if as_json:
            shown = demo_json(run(folder))
            if state is None:
                del shown["folder"]  # the folder is temporary
            typer.echo(json.dumps(shown))
            return
        finished = run(folder, lambda demo, step: print_step(console, demo, step))
    console.print(f"\n[green]All {len(finished.steps)} steps passed.[/green]")
    console.print("Next: `hypervisor node` runs a local network, `hypervisor test` the tests of a Foundry project.")
