"""`hypervisor step`: debug a message in a terminal or an editor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.folders import open_chain
from hypervisor_tools.cli.laboratory import BundleDir, bundle_folder
from hypervisor_tools.cli.options import URL, URL_VARIABLE, Abi, Arguments, Artifacts, Engines, Value, available_engine
from hypervisor_tools.cli.transactions import interface_of

if TYPE_CHECKING:
    from hypervisor_tools.debugger.session import Session
    from hypervisor_tools.debugger.subjects import Subject
    from localnet import Network
    from localnet.rules.facts import CallRequest

What = Annotated[
    str | None,
    typer.Argument(
        metavar="TX|CID|FILE|ADDRESS", help="Transaction hash, message CID, vector file, or an address to call."
    ),
]


def step(
    what: What = None,
    function: Annotated[
        str | None, typer.Argument(metavar="[FUNCTION]", help="Function of an address, as in `hypervisor call`.")
    ] = None,
    arguments: Arguments = None,
    rpc_url: Annotated[
        str | None,
        typer.Option(
            "--rpc-url", "--rpc", metavar="URL", envvar=URL_VARIABLE, help="URL of the node.", show_default=URL
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of a chain, instead of a node. A node may have it open.")
    ] = None,
    evm: Annotated[
        Engines | None,
        typer.Option(callback=available_engine, help="EVM engine (default: as in `hypervisor node`)."),
    ] = None,
    artifacts: Artifacts = None,
    abi: Abi = None,
    value: Value = "0",
    sender: Annotated[str | None, typer.Option("--from", metavar="ADDRESS", help="Caller address of a call.")] = None,
    message: Annotated[int, typer.Option(min=1, metavar="N", help="Index of a vector's message.")] = 1,
    bundle_dir: BundleDir = None,
    breaks: Annotated[
        list[str] | None,
        typer.Option(
            "--break",
            metavar="WHERE",
            help="Breakpoint, such as 'call f04' or 'exit any'; repeatable.",
        ),
    ] = None,
    commands: Annotated[
        list[str] | None,
        typer.Option("--command", "-x", metavar="COMMAND", help="Debugger command to run first; repeatable."),
    ] = None,
    dap: Annotated[
        bool, typer.Option("--dap", help="Serve the Debug Adapter Protocol on standard input and output.")
    ] = False,
    listen: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            metavar="PORT",
            help="Serve the Debug Adapter Protocol on a local port (0 selects a free port).",
        ),
    ] = None,
) -> None:
    """Debug a message forwards and backwards, across contracts and native actors.

    Breakpoints are calls, methods, syscalls, instructions, source lines, exit codes and amounts of gas. At a stop the
    debugger shows open calls, an EVM frame's stack, memory and storage, a native actor's memory and syscalls, decoded
    states, gas by charge, and Solidity lines if artifacts with source maps are found.

    Blocks are read from a node or a folder; nothing is written. The command `help` lists all commands.
    docs/debugger.md has a first session and the setup of an editor.

    Example: hypervisor step 0x67ad... --break 'exit any'

    Example: hypervisor step 0x5fbd... 'increment(uint256)' 5 --state chain
    """
    from hypervisor_tools.debugger.breakpoints import SourceLines
    from hypervisor_tools.debugger.commands import run_prompt
    from hypervisor_tools.debugger.session import Session

    if dap or listen is not None:
        asked_url = None if rpc_url == os.environ.get(URL_VARIABLE) else rpc_url
        _refuse_arguments({
            "the argument TX|CID|FILE|ADDRESS": (what, 'its launch configuration has "what"'),
            "the argument FUNCTION": (function, 'its launch configuration has "function"'),
            "--rpc-url": (asked_url, 'its launch configuration has "rpcUrl"'),
            "--state": (state, 'its launch configuration has "state"'),
            "--evm": (evm, 'its launch configuration has "evm"'),
            "--artifacts": (artifacts, 'its launch configuration has "artifacts"'),
            "--abi": (abi, 'its launch configuration has "abi"'),
            "--value": (value != "0", 'its launch configuration has "value"'),
            "--from": (sender, 'its launch configuration has "from"'),
            "--message": (message != 1, 'its launch configuration has "message"'),
            "--bundle-dir": (bundle_dir, 'its launch configuration has "bundleDir"'),
            "--break": (breaks, 'its launch configuration has "breakpoints"'),
            "--command": (commands, "its console takes commands"),
            "--listen": (dap and listen is not None, "--dap serves it on standard input and output"),
        })  # fmt: skip
        _serve(listen)
        return
    if what is None:
        raise InvalidInput("missing argument: pass a transaction's hash, a message's CID, a vector or an address")
    with _subject(what, function, arguments or [], rpc_url, state, evm, abi, artifacts, value, sender, message,
                  bundle_dir) as subject:  # fmt: skip
        session = Session(subject, SourceLines(artifacts))
        for text in breaks or []:
            session.breakpoints.add(text)
        run_prompt(session, commands or [])


def _refuse_arguments(launch: Mapping[str, tuple[object, str]]) -> None:
    """Raise InvalidInput if command-line options describe the subject.

    With `--dap` or `--listen`, the editor's configuration names it.
    """
    for shown, (value, field) in launch.items():
        if value:
            raise InvalidInput(f"{shown} cannot be used while serving an editor: {field}")


def _serve(port: int | None) -> None:
    from hypervisor_tools.debugger.adapter import HOST, serve_port, serve_streams

    if port is None:
        serve_streams(_open_launched)
        return
    try:
        serve_port(port, _open_launched)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {HOST}:{port}: {error.strerror}") from None


@contextmanager
def _open_launched(launch: Mapping[str, Any]) -> Iterator[Session]:
    from hypervisor_tools.debugger.breakpoints import SourceLines
    from hypervisor_tools.debugger.session import Session

    def text(name: str) -> str | None:
        value = launch.get(name)
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f'"{name}" is {value!r:.60}: expected a string')
        return value

    what, state, number = text("what"), text("state"), launch.get("message", 1)
    if what is None or not isinstance(number, int):
        raise InvalidInput('the launch configuration needs "what" (text), and "message" must be a number')
    folders = [Path(each) for each in _texts(launch, "artifacts")] or None
    bundles = text("bundleDir")
    with _subject(
        what, text("function"), _texts(launch, "arguments"), text("rpcUrl") or os.environ.get(URL_VARIABLE),
        None if state is None else Path(state), available_engine(text("evm")), text("abi"), folders,
        text("value") or "0", text("from"), number, None if bundles is None else Path(bundles),
    ) as subject:  # fmt: skip
        session = Session(subject, SourceLines(folders))
        add_breakpoints(session, launch)
        yield session


def add_breakpoints(session: Session, launch: Mapping[str, Any]) -> None:
    """Set the breakpoints that an editor's launch configuration lists. Raises InvalidInput."""
    for each in _texts(launch, "breakpoints"):
        session.breakpoints.add(each)


def _texts(launch: Mapping[str, Any], name: str) -> list[str]:
    value = launch.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidInput(f'"{name}" is {value!r:.60}: expected a list of strings')
    return value


@contextmanager
def _subject(
    what: str,
    function: str | None,
    arguments: list[str],
    url: str | None,
    folder: Path | None,
    evm: str | None,
    abi: str | None,
    artifacts: list[Path] | None,
    value: str,
    sender: str | None,
    message: int,
    bundles: Path | None,
) -> Iterator[Subject]:
    from hypervisor_tools.debugger import subjects

    if function is not None:
        if folder is None:
            raise InvalidInput("a call of a function needs the folder of a chain: pass --state")
        with _chain(folder, evm) as network:
            yield subjects.of_call(
                network, call_request(network, what, function, arguments, abi, artifacts, value, sender)
            )
    elif Path(what).is_file():
        yield subjects.of_vector(Path(what), bundle_folder(bundles), message)
    elif folder is not None:
        with _chain(folder, evm) as network:
            yield subjects.of_transaction(network, subjects.parse_transaction(network, what))
    else:
        from localnet.replay.sources import NodeSource

        source = NodeSource(url or URL)
        try:
            source.require_own_rules()
            subject = subjects.of_source(source, what)
            if evm not in (None, "official"):
                subjects.use_own_engine(subject.machine)
            yield subject
        finally:
            source.close()


@contextmanager
def _chain(folder: Path, evm: str | None) -> Iterator[Network]:
    with open_chain(folder, evm=evm, read_only=True) as network:
        yield network


def call_request(
    network: Network,
    address: str,
    function: str,
    arguments: list[str],
    abi: str | None,
    artifacts: list[Path] | None,
    value: str,
    sender: str | None,
) -> CallRequest:
    """Return a call with the arguments of `hypervisor call`; the default caller is the zero address."""
    from bridge.ethereum.addresses import ZERO_ADDRESS
    from hypervisor.types import TokenAmount
    from localnet.contracts.argument_texts import calldata_of, payment
    from localnet.rules.facts import CallRequest

    interface, name = interface_of(function, abi, artifacts)
    data = calldata_of(interface, name, arguments, lambda text: f"0x{network.address(text).hex()}")
    caller = ZERO_ADDRESS if sender is None else network.address(sender)
    return CallRequest(network.address(address), data, TokenAmount(payment(value)), caller)
