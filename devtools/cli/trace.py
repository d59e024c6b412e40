"""`hypervisor trace`: a transaction's calls, as a tree across both runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from localnet.trace_words import NamedInterface


def trace(
    transaction: Annotated[str, typer.Argument(metavar="TXHASH", help="The transaction's hash.")],
    rpc: Annotated[str, typer.Option(metavar="URL", help="The node to ask.")] = "http://127.0.0.1:8545",
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Read a chain's folder instead, which no node may have open.")
    ] = None,
    abi: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A compiler's JSON with the ABI of a contract; may be given several times."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tree as one JSON object, undecoded.")] = False,
) -> None:
    """Show every call of a transaction: who called whom, in which runtime, with what result and gas.

    The transaction is executed again on the state that it met. Calls and events are decoded where an ABI is given or
    the method of a built-in actor is known.

    Example: hypervisor trace 0x67ad... --abi out/Counter.sol/Counter.json
    """
    found = _from_folder(state, transaction) if state else _from_node(rpc, transaction)
    if as_json:
        typer.echo(json.dumps(found))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(_title(found))
    interfaces = [_interface(path) for path in abi or []]
    for call in found["calls"]:
        console.print(_tree(call, interfaces))


def _from_node(url: str, transaction: str) -> dict[str, Any]:
    from devtools.cli.rpc_client import ask

    found: dict[str, Any] = ask(url, "hypervisor_trace", transaction)
    return found


def _from_folder(folder: Path, transaction: str) -> dict[str, Any]:
    from hypervisor.errors import InvalidInput
    from localnet import Network

    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder}")
    try:
        wanted = bytes.fromhex(transaction.removeprefix("0x"))
    except ValueError:
        raise InvalidInput(f"'{transaction}' is no transaction hash: expected 0x and 64 hex digits") from None
    with Network(folder) as network:
        return network.trace(wanted).as_json()


def _interface(path: Path) -> NamedInterface:
    from localnet import Artifact
    from localnet.trace_words import NamedInterface

    return NamedInterface(path.stem, Artifact.load(path).interface)


def _title(found: dict[str, Any]) -> Text:
    from rich.text import Text

    title = Text(f"transaction {found['transactionHash']} in block {found['blockNumber']}: ")
    title.append(f"exit {found['exit']}", style="red" if found["exitCode"] else "green")
    title.append(f", gas {found['gasUsed']:,}")
    if found["words"]:
        title.append(f"\n{found['words']}", style="red")
    if not found["reproduced"]:
        title.append("\nexecuted again, it gave another receipt: the state was changed by hand since", style="yellow")
    return title


def _tree(call: dict[str, Any], interfaces: list[NamedInterface]) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    from devtools.call_tree import EVENT_STYLE, GUIDE_STYLE, call_line
    from localnet.trace_words import describe

    words = describe(call, interfaces)
    callee, method = f"{call['to']} {words.callee}", f"{words.function}{words.arguments}"
    value, failed = int(call["value"]), bool(call["exitCode"] or call["error"])
    line = call_line(call["runtime"], callee, method, value, call["exitCode"], call["error"], call["gas"])
    tree = Tree(line, guide_style=GUIDE_STYLE)
    for inner in call["calls"]:
        tree.add(_tree(inner, interfaces))
    for event in words.events:
        tree.add(Text(f"event {event}", style=EVENT_STYLE))
    if words.result:
        tree.add(Text(f"-> {words.result}", style="red" if failed else "green"))
    return tree
