"""`hypervisor trace`: a transaction's calls, as a tree across both runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from localnet.trace_words import NamedInterface

_NOT_REPRODUCED = (
    "executed again, it gave another receipt: contracts ran under another --evm, or another version of this program"
)


def trace(
    transaction: Annotated[str, typer.Argument(metavar="TXHASH", help="The transaction's hash.")],
    rpc: Annotated[str, typer.Option(metavar="URL", help="The node to ask.")] = "http://127.0.0.1:8545",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the tree as one JSON object, undecoded.")] = False,
) -> None:
    """Show every call of a transaction: who called whom, in which runtime, with what result and gas.

    The transaction is executed again on the state that it met. Calls and events are decoded where an ABI is given or
    the method of a built-in actor is known.

    Example: hypervisor trace 0x67ad... --abi out/Counter.sol/Counter.json
    """
    interfaces = [_interface(path) for path in abi or []]
    found = _from_folder(state, evm, transaction) if state else _from_node(rpc, transaction)
    if as_json:
        typer.echo(json.dumps(found))
        return
    from devtools.call_tree import tree_console

    console = tree_console()
    console.print(_title(found))
    console.print(_tree(found["calls"], interfaces))


def _from_node(url: str, transaction: str) -> dict[str, Any]:
    from devtools.cli.rpc_client import ask

    found: dict[str, Any] = ask(url, "hypervisor_trace", transaction)
    return found


def _from_folder(folder: Path, evm: str | None, transaction: str) -> dict[str, Any]:
    from hypervisor.errors import InvalidInput
    from hypervisor.opening import AUTO
    from localnet import Network
    from localnet.index import ChainIndex
    from store.rocks import RocksStore

    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder}")
    try:
        wanted = bytes.fromhex(transaction.removeprefix("0x"))
    except ValueError:
        raise InvalidInput(f"'{transaction}' is no transaction hash: expected 0x and 64 hex digits") from None
    with RocksStore.open(folder, read_only=True) as store:
        if ChainIndex(store).head < 0:  # a network would begin a chain there
            raise InvalidInput(f"{folder} holds no chain: `hypervisor node --state DIR` makes one")
    with Network(folder, evm=evm or AUTO) as network:
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
        title.append(f"\n{_NOT_REPRODUCED}", style="yellow")
    return title


def _tree(calls: list[dict[str, Any]], interfaces: list[NamedInterface]) -> Tree:
    """The calls, each with those under it, its events and its result; without recursion, for they go 1,024 deep."""
    from rich.text import Text
    from rich.tree import Tree

    from devtools.call_tree import GUIDE_STYLE

    tree = Tree("", guide_style=GUIDE_STYLE, hide_root=True)
    todo: list[tuple[Tree, Text | dict[str, Any]]] = [(tree, call) for call in reversed(calls)]
    while todo:
        above, item = todo.pop()
        if isinstance(item, Text):
            above.add(item)
        else:
            line, notes = _call(item, interfaces)
            node = above.add(line)
            todo.extend((node, part) for part in reversed([*item["calls"], *notes]))
    return tree


def _call(call: dict[str, Any], interfaces: list[NamedInterface]) -> tuple[Text, list[Text]]:
    """A call's line, and the lines under it: events and result."""
    from rich.text import Text

    from devtools.call_tree import EVENT_STYLE, call_line
    from localnet.trace_words import describe

    words = describe(call, interfaces)
    callee, method = f"{call['to']} {words.callee}", f"{words.function}{words.arguments}"
    value, failed = int(call["value"]), bool(call["exitCode"] or call["error"])
    line = call_line(call["runtime"], callee, method, value, call["exitCode"], call["error"], call["gas"])
    notes = [Text(f"event {event}", style=EVENT_STYLE) for event in words.events]
    if words.result:
        notes.append(Text(f"-> {words.result}", style="red" if failed else "green"))
    return line, notes
