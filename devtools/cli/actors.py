"""`hypervisor actor`: users' own actors, from a new project to a call, typed by the IPLD schema of their interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from localnet.contracts.amounts import payment

if TYPE_CHECKING:
    from localnet import Account, Network

app = typer.Typer(help="Your own actors: new, install, create, call and inspect.", no_args_is_help=True)

_State = Annotated[
    Path,
    typer.Option("--state", metavar="DIR", help="The folder of a chain; no node may have it open.", show_default=False),
]
_Schema = Annotated[
    Path | None, typer.Option("--schema", metavar="FILE", help="The interface, where it is not known of the code.")
]
_Params = Annotated[
    str, typer.Argument(metavar="[PARAMS]", help="The parameters as JSON, typed by the schema.", show_default=False)
]
_Value = Annotated[str, typer.Option("--value", metavar="AMOUNT", help="Money to send with it, as 1.5fil.")]
_Target = Annotated[str, typer.Argument(metavar="ADDRESS", help="f0... to f4..., or 0x...", show_default=False)]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _.", show_default=False)],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write the project into.")] = Path(),
    as_json: _AsJson = False,
) -> None:
    """Write a small actor project in Rust, with its interface and a test in Python.

    Example: hypervisor actor new guest_book
    """
    from devtools.actor_project import new_project

    folder = new_project(name, into)
    if as_json:
        typer.echo(json.dumps({"project": str(folder)}))
        return
    typer.echo(f"{folder} is there: its README.md says how to build, test and install the actor")


@app.command("install")
def install(
    wasm: Annotated[Path, typer.Argument(metavar="WASM", help="The compiled actor.", show_default=False)],
    state: _State,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The IPLD schema of its interface, to be kept with the code.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Keep an actor's code on a chain, if the machine's rules take it, and print its code CID.

    The network has no message for this yet; on your own chain the code is put there by hand. A folder that is not
    there becomes a new chain.

    Example: hypervisor actor install guest_book.wasm --schema interface.ipldsch --state chain
    """
    from devtools.cli.folders import open_chain
    from localnet import Network
    from localnet.contracts.native_actor import read_interface, read_module
    from store.cid import show

    data = read_module(wasm)
    if not state.exists():  # no folder is made for what is refused
        _check_module(data)
        if schema is not None:
            read_interface(schema)
    with open_chain(state) if state.exists() else Network(state) as network:
        code = show(network.actors.install(data, schema))
    typer.echo(json.dumps({"code": code}) if as_json else code)


@app.command("create")
def create(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The CID that `install` printed.", show_default=False)],
    state: _State,
    params: _Params = "",
    value: Annotated[str, typer.Option(metavar="AMOUNT", help="Its first balance, which comes from nowhere.")] = "0",
    as_json: _AsJson = False,
) -> None:
    """Create an actor with installed code, by its constructor, and print its addresses.

    Example: hypervisor actor create bafk... '{"owner": "f0100"}' --state chain
    """
    from devtools.cli.folders import named_block, open_chain
    from hypervisor.address import Address

    wanted, given, money = named_block(code), _json(params), payment(value)
    with open_chain(state) as network:
        actor = network.actors.create(wanted, given, value=money)
        number = network.machine.state_tree.lookup_id(actor.address)
        assert number is not None, "an actor that was created has an ID"
        found = {"id": str(Address.id(number)), "address": str(actor.address), "code": code}
    typer.echo(json.dumps(found) if as_json else f"{found['id']}  {found['address']}")


@app.command("call")
def call(
    address: _Target,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="By its name.", show_default=False)],
    params: _Params = "",
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of a chain; no node may have it open.")
    ] = None,
    rpc: Annotated[str | None, typer.Option(metavar="URL", help="A running node, instead of a folder.")] = None,
    value: _Value = "0",
    account: Annotated[int, typer.Option(min=0, max=9, help="Which of the ten accounts sends it.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Keep nothing of it.")] = False,
    schema: _Schema = None,
    as_json: _AsJson = False,
) -> None:
    """Send a message to a method of an actor, yours or a built-in one, and print its answer.

    On a node an actor of yours needs its --schema. Exit status: 0 if the actor exited with 0, 1 if not (then nothing of
    the call remains), 2 for malformed input.

    Example: hypervisor actor call f0123 Tip '{"note": "thanks"}' --value 1.5fil --state chain
    """
    from devtools.cli.folders import open_chain
    from devtools.cli.node_actors import call_actor

    given, money = _json(params), payment(value)
    if rpc is not None and state is None:
        found = call_actor(rpc, address, method, given, money, account, dry_run, schema)
    elif state is not None and rpc is None:
        with open_chain(state) as network:
            found = _call(network, address, method, given, money, network.accounts[account], dry_run, schema)
    else:
        raise typer.BadParameter("name a folder with --state, or a node with --rpc", param_hint="--state")
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(json.dumps(found["answer"]) if found["answer"] is not None else "done")


@app.command("inspect")
def inspect(
    address: _Target,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="The folder of a chain.", show_default=False)],
    schema: _Schema = None,
    as_json: _AsJson = False,
) -> None:
    """Show an actor: its code, balance and state by the schema, and the methods of its interface.

    A node may have the folder open. `hypervisor inspect DIR ADDRESS/state/...` goes deeper into maps.

    Example: hypervisor actor inspect f0123 --state chain
    """
    from bridge.printable import printable
    from devtools.cli.folders import head_of, open_folder
    from localnet.contracts.native_actor import read_interface, stored_interface
    from localnet.state.inspection import StateInspector

    given = None if schema is None else read_interface(schema)
    with open_folder(state) as store:
        inspector = StateInspector(store, head_of(store), lambda code: given or stored_interface(store, code))
        interface = inspector.interface(address)
        found = inspector.look(address) | {
            "state": inspector.look(f"{address}/state"),
            "methods": [] if interface is None else [interface.signature(name) for name in sorted(interface.methods)],
        }
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, item in found.items():
        for line in item if name == "methods" else [item]:
            typer.echo(f"{name:<18} {printable(line) if isinstance(line, str) else json.dumps(line)}")


def _check_module(data: bytes) -> None:
    """InvalidModule where the machine's rules refuse a module."""
    from hypervisor.registry import Registry
    from hypervisor.runtime import RuntimeServices
    from store.cid import RAW, cid_of

    code = cid_of(data, RAW)
    _, runtime = Registry(RuntimeServices(), {}).runtime_for(code)
    runtime.prepare({code: data})


def _call(
    network: Network,
    address: str,
    method: str,
    params: Any,
    value: int,
    account: Account,
    dry_run: bool,
    schema: Path | None,
) -> dict[str, Any]:
    from localnet.contracts.native_actor import actor_return

    actor = network.actors.at(address, schema)
    if dry_run:
        data = actor.call_raw(method, params, value=value, sender=account)
        return {"answer": actor.interface.answer_json(method, data)}
    receipt = actor.send(method, params, value=value, sender=account)
    return {
        "answer": actor.interface.answer_json(method, actor_return(receipt)),
        "transaction": "0x" + receipt.hash.hex(),
        "gas_used": int(receipt.gas_used),
    }


def _json(text: str) -> Any:
    from hypervisor.errors import InvalidInput
    from store.codec import CodecError
    from store.dag_json import decode_json

    if not text:
        return None
    try:
        return decode_json(text)
    except CodecError as error:
        raise InvalidInput(f"the parameters {text!r:.80}: {error}; text needs quotes, as '\"f0100\"'") from None
