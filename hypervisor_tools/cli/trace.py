"""`hypervisor trace` and `profile`: a transaction's call tree over both runtimes, and its gas by function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.folders import open_chain
from hypervisor_tools.cli.options import (
    RESPONSE_TIME,
    URL,
    Artifacts,
    AsJson,
    Engines,
    ResponseTimeout,
    RpcUrl,
    available_engine,
)
from localnet.traces.trace_command import page_of
from store.cid import CidError, parse_cid, show

if TYPE_CHECKING:
    from rich.text import Text

    from localnet import Network
    from localnet.contracts.named_interface import NamedInterface

_NOT_REPRODUCED = (
    "re-execution produced another receipt: contracts ran under another --evm, actors logged (--actor-logs), or "
    "another version of this program executed it"
)
_OTHER_STATE = (
    "re-execution produced another state: the state was edited, or another version of this program executed it"
)
_HASH_DIGITS = 64
_HASH_BYTES = 32

Traced = tuple[dict[str, Any], dict[str, Any] | None]
"""A call tree, with the source positions of its calls where known."""


def trace(
    transaction: Annotated[
        str,
        typer.Argument(
            metavar="TXHASH", help="Transaction hash, message CID, or an epoch for its reward and cron messages."
        ),
    ],
    rpc: RpcUrl = URL,
    timeout: ResponseTimeout = RESPONSE_TIME,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of a chain, instead of a node. No node may have it open.")
    ] = None,
    evm: Annotated[
        Engines | None,
        typer.Option(callback=available_engine, help="With --state: EVM engine (default: as in `hypervisor node`)."),
    ] = None,
    abi: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Compiler JSON with a contract's ABI; repeatable."),
    ] = None,
    artifacts: Artifacts = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the call tree as a JSON object.")] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open its explorer page in a browser and print the URL.")
    ] = False,
    flame: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a flame graph of gas, as .svg or .html."),
    ] = None,
) -> None:
    """Show the call trace of a transaction: callers, callees, runtimes, results and gas.

    The transaction is re-executed on its original state. Calls and events are decoded with ABIs and the schemas of
    built-in actors. With artifacts, calls show their `file.sol:line`. The last line of a failure's reasons belongs to
    the innermost call.

    An epoch instead of a hash shows the block's implicit messages, reward and cron, with their events.

    Example: hypervisor trace 0x67ad... --abi out/Counter.sol/Counter.json
    """
    from hypervisor.installation import check_output

    check_output(flame, "the flame view")
    is_epoch = transaction.isascii() and transaction.isdigit() and len(transaction) < _HASH_DIGITS
    if open_page:
        _open(transaction if is_epoch else parse_transaction_reference(transaction), rpc, state)
        return
    if is_epoch:
        _epoch(int(transaction), rpc, state, evm, abi or [], as_json=as_json, flame=flame)
        return
    wanted, interfaces = parse_transaction_reference(transaction), [_interface(path) for path in abi or []]
    from localnet.contracts.artifacts import ArtifactFolders
    from localnet.contracts.named_interface import NamedInterface
    from localnet.traces.call_places import add_lines
    from localnet.traces.call_text import call_lines, tree_console
    from localnet.traces.trace_report import explain_trace, save_flame

    folders = ArtifactFolders(artifacts)
    compiled = folders.contracts()
    by_line = bool(compiled)
    found, places = _of_folder(state, evm, wanted, by_line) if state else _of_node(rpc, wanted, by_line)
    if places is not None:
        found, named = add_lines(found, places, folders)
        interfaces += named
    interfaces += [NamedInterface(each.name, each.interface) for each in compiled]
    found = explain_trace(found, interfaces)
    if flame is not None:
        save_flame(found, flame)
    if as_json:
        from localnet.rpc.values import as_json as deep_json

        typer.echo(deep_json(found))
        return
    console = tree_console()
    console.print(_title(found))
    console.print(call_lines(found["calls"]))


def _open(wanted: bytes | str, url: str, state: Path | None) -> None:
    import webbrowser

    if state is not None:
        raise InvalidInput(f"--open needs a running node: for the chain of a folder, use `hypervisor explore {state}`")
    if isinstance(wanted, bytes):
        page = page_of(f"0x{wanted.hex()}", url)
    else:
        page = f"{url.rstrip('/')}/{f'epoch/{wanted}/cron' if wanted.isdigit() else f'message/{wanted}'}"
    typer.echo(page)
    webbrowser.open(page)


def _epoch(
    epoch: int, rpc: str, state: Path | None, evm: str | None, abi: list[Path], *, as_json: bool, flame: Path | None
) -> None:
    from hypervisor_tools.cli.node_client import request_epoch_trace
    from localnet.traces.call_text import call_lines, tree_console
    from localnet.traces.trace_report import decode_calls

    if flame is not None:
        raise InvalidInput("--flame needs a transaction: an epoch's reward and cron pay no gas")
    if state is None:
        found = request_epoch_trace(rpc, epoch)
    else:
        with open_chain(state, evm=evm, read_only=True) as network:
            found = network.epoch_trace(epoch).as_json()
    found = {**found, "calls": decode_calls(found["calls"], [_interface(path) for path in abi])}
    if as_json:
        from localnet.rpc.values import as_json as deep_json

        typer.echo(deep_json(found))
        return
    console = tree_console()
    console.print(f"epoch {found['epoch']}: calls after its messages")
    if not found["reproduced"]:
        console.print(_OTHER_STATE)
    console.print(call_lines(found["calls"]))


def parse_transaction_reference(text: str) -> bytes | str:
    """Parse a transaction's hash, or a message's CID, which is returned as text."""
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) == _HASH_BYTES:
        return found
    try:
        return show(parse_cid(text))
    except CidError:
        raise InvalidInput(
            f"'{text}' is not a transaction hash: expected 0x and 64 hex digits, or the CID of a message"
        ) from None


def _of_folder(folder: Path, evm: str | None, wanted: bytes | str, places: bool) -> Traced:
    from localnet.traces.call_places import InstructionPlaces, call_places
    from localnet.traces.trace import trace

    with open_chain(folder, evm=evm, read_only=True) as network:
        receipt = network.executed(transaction_of(network, wanted))
        has_places = places and not receipt.is_implicit
        found = trace(network.chain, receipt).as_json()
        return found, call_places(network.chain, receipt, InstructionPlaces()) if has_places else None


def _of_node(url: str, wanted: bytes | str, places: bool) -> Traced:
    from hypervisor_tools.cli.node_client import request_places, request_trace

    text = hash_at_node(url, wanted)
    return request_trace(url, text), request_places(url, text) if places else None


def transaction_of(network: Network, wanted: bytes | str) -> bytes:
    """Return the hash of a transaction given by hash or by message CID. Raises UnknownTransaction."""
    from localnet.rpc.filecoin.chain import hash_of
    from localnet.rpc.node import Node

    found = hash_of(Node(network), parse_cid(wanted)) if isinstance(wanted, str) else wanted
    if found is None:
        raise _no_message(str(wanted))
    return found


def hash_at_node(url: str, wanted: bytes | str) -> str:
    """Return a transaction's hash as hex, resolving a message CID at a node. Raises UnknownTransaction, NodeError."""
    from hypervisor_tools.cli.node_client import request_hash

    text = request_hash(url, wanted) if isinstance(wanted, str) else f"0x{wanted.hex()}"
    if text is None:
        raise _no_message(str(wanted))
    return text


def _no_message(cid: str) -> Exception:
    from localnet.errors import UnknownTransaction

    return UnknownTransaction(f"no message has the CID {cid}: it is not in a block, or of another chain")


def _interface(path: Path) -> NamedInterface:
    from localnet import Artifact
    from localnet.contracts.named_interface import NamedInterface

    return NamedInterface(path.stem, Artifact.load(path).interface)


def _title(found: dict[str, Any]) -> Text:
    from rich.text import Text

    from localnet.traces.call_places import failure_line
    from localnet.traces.trace_report import gas_summary

    title = Text(f"transaction {found['transactionHash']} in block {found['blockNumber']}: ")
    title.append(f"exit {found['exit']}", style="red" if found["exitCode"] else "green")
    title.append(f", gas {found['gasUsed']:,}")
    title.append(f" ({gas_summary(found)})", style="dim")
    for number, line in enumerate(found["why"]["calls"] if found["why"] else ()):
        title.append(f"\n{'because ' if number else 'failed: '}{line}", style="red")
    location = failure_line(found)
    if location is not None:
        title.append(f"\nat {location}", style="bold red")
    if not found["reproduced"]:
        title.append(f"\n{_NOT_REPRODUCED}", style="yellow")
    return title


def profile(
    transaction: Annotated[str, typer.Argument(metavar="TXHASH", help="Transaction hash or message CID.")],
    rpc: RpcUrl = URL,
    timeout: ResponseTimeout = RESPONSE_TIME,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of a chain, instead of a node.")] = None,
    flame: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a flame graph of gas, as .svg or .html."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Profile the gas of native actors by function and syscall, exclusive and inclusive of calls.

    The transaction is re-executed on its original state. Gas is exact. Time is measured for syscalls and distributed
    by gas for the code between them. Function names need the module's custom section `name`; in Rust set `strip =
    "debuginfo"`. A call to another actor appears below the `send::send` that made it.

    Example: hypervisor profile 0x67ad... --flame profile.svg
    """
    from localnet.traces.guest_profile import profile_lines, save_profile_flame

    wanted = parse_transaction_reference(transaction)
    if state is None:
        found = _profile_of_node(rpc, wanted)
    else:
        with open_chain(state, read_only=True) as network:
            found = network.profile(transaction_of(network, wanted)).as_json()
    if flame is not None:
        save_profile_flame(found, flame)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for line in profile_lines(found):
        typer.echo(line)


def _profile_of_node(url: str, wanted: bytes | str) -> dict[str, Any]:
    from hypervisor_tools.cli.rpc_client import rpc_request
    from localnet.fork.node_client import NodeError
    from localnet.fork.urls import redacted_url
    from localnet.traces.guest_profile import check_profile

    found = rpc_request(url, "hypervisor_profile", hash_at_node(url, wanted))
    try:
        return check_profile(found)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NodeError(
            f"{redacted_url(url)} returned an invalid profile: {type(error).__name__} in {found!r:.60}"
        ) from None
