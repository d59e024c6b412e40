"""`hypervisor trace`: a transaction's calls, as a tree across both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from devtools.cli.options import URL, RpcUrl

if TYPE_CHECKING:
    from rich.text import Text

    from localnet.trace_words import NamedInterface

_NOT_REPRODUCED = (
    "executed again, it gave another receipt: contracts ran under another --evm, or another version of this program"
)


def trace(
    transaction: Annotated[str, typer.Argument(metavar="TXHASH", help="The transaction's hash.")],
    rpc: RpcUrl = URL,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Read a chain's folder instead, which no node may have open.")
    ] = None,
    evm: Annotated[
        Literal["official", "py-evm"] | None,
        typer.Option(help="With --state: who ran contracts (default: as for `hypervisor node`)."),
    ] = None,
    abi: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A compiler's JSON with the ABI of a contract; may be given several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tree as one JSON object.")] = False,
    flame: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a flame view too, as wide as gas: an .svg, or an .html page."),
    ] = None,
) -> None:
    """Show every call of a transaction: who called whom, in which runtime, with what result and gas.

    The transaction is executed again on the state that it met. Calls and events are decoded where an ABI is given or
    the method of a built-in actor is known. Of a failure, the last line of its reasons is the innermost call's.

    Example: hypervisor trace 0x67ad... --abi out/Counter.sol/Counter.json
    """
    interfaces = [_interface(path) for path in abi or []]
    from devtools.cli.trace_client import ask_trace
    from localnet.call_text import call_lines, tree_console
    from localnet.trace_report import save_flame, told

    found = told(_from_folder(state, evm, transaction) if state else ask_trace(rpc, transaction), interfaces)
    if flame is not None:
        save_flame(found, flame)
    if as_json:
        from localnet.rpc.values import as_json as deep_json

        typer.echo(deep_json(found))
        return
    console = tree_console()
    console.print(_title(found))
    console.print(call_lines(found["calls"]))


def _from_folder(folder: Path, evm: str | None, transaction: str) -> dict[str, Any]:
    from devtools.cli.folders import open_chain
    from hypervisor.errors import InvalidInput

    try:
        wanted = bytes.fromhex(transaction.removeprefix("0x"))
    except ValueError:
        raise InvalidInput(f"'{transaction}' is no transaction hash: expected 0x and 64 hex digits") from None
    with open_chain(folder, evm=evm) as network:
        return network.trace(wanted).as_json()


def _interface(path: Path) -> NamedInterface:
    from localnet import Artifact
    from localnet.trace_words import NamedInterface

    return NamedInterface(path.stem, Artifact.load(path).interface)


def _title(found: dict[str, Any]) -> Text:
    from rich.text import Text

    from localnet.trace_report import gas_words

    title = Text(f"transaction {found['transactionHash']} in block {found['blockNumber']}: ")
    title.append(f"exit {found['exit']}", style="red" if found["exitCode"] else "green")
    title.append(f", gas {found['gasUsed']:,}")
    title.append(f" ({gas_words(found)})", style="dim")
    for number, line in enumerate(found["why"]["calls"] if found["why"] else ()):
        title.append(f"\n{'because ' if number else 'failed: '}{line}", style="red")
    if not found["reproduced"]:
        title.append(f"\n{_NOT_REPRODUCED}", style="yellow")
    return title
