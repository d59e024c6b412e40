"""`hypervisor actor`: create, test, install and call user-defined actors with typed interfaces."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.commands import INTERRUPTED
from hypervisor_tools.cli.folders import head_of, open_chain, open_folder, parse_block_cid
from hypervisor_tools.cli.options import CORES, RESPONSE_TIME, URL_VARIABLE, AsJson, ResponseTimeout, Workers
from localnet.contracts.argument_texts import payment
from store.cid import RAW, cid_of, show
from store.codec import CodecError

if TYPE_CHECKING:
    from hypervisor_tools.actor_mutation import ActorMutant
    from hypervisor_tools.soltest.mutate.results import MutantStatus
    from localnet import Account, Network

app = typer.Typer(
    help="Develop actors: new, test, mutate, embed, install, create, call, replace, inspect.", no_args_is_help=True
)

_State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Folder of a chain. No node may have it open.")
]
_Rpc = Annotated[
    str | None, typer.Option("--rpc-url", "--rpc", metavar="URL", help="URL of a running node, instead of a folder.")
]
_Schema = Annotated[
    Path | None,
    typer.Option("--schema", metavar="FILE", help="IPLD schema of the interface, if none is stored with the code."),
]
_Params = Annotated[str, typer.Argument(metavar="[PARAMS]", help="Parameters as JSON, typed by the schema.")]
_Value = Annotated[str, typer.Option("--value", metavar="AMOUNT", help="Value to send, such as 1.5fil.")]
_Target = Annotated[str, typer.Argument(metavar="ADDRESS", help="f0... to f4..., or 0x...")]
_MAX_NUMBER_DIGITS = 20


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the actor: lowercase letters, digits and _.")],
    into: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the new project.")] = Path(),
    lang: Annotated[Literal["rust", "c", "assemblyscript"], typer.Option(help="Programming language.")] = "rust",
    as_json: AsJson = False,
) -> None:
    """Create an actor project with a schema and a Python test.

    The README.md of the project names its compiler: cargo, zig (`pip install ziglang`) or npm's assemblyscript.

    Example: hypervisor actor new guest_book

    Example: hypervisor actor new tally --lang c
    """
    from hypervisor_tools.actor_project import new_project

    folder = new_project(name, into, lang)
    if as_json:
        typer.echo(json.dumps({"project": str(folder)}))
        return
    typer.echo(f"created {folder}: its README.md explains how to build, test and install the actor")


@app.command("test")
def build_and_test(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Project folder.")] = Path(),
    no_build: Annotated[bool, typer.Option("--no-build", help="Test the existing build.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Print the coverage, and write it to lcov.info; in Rust with lines.")
    ] = False,
) -> None:
    """Build an actor project and run its Python tests.

    Cargo.toml selects cargo, Makefile selects make, and package.json selects npm. pytest runs the tests. Exit status:
    that of the first failing program, 2 if the folder has no project.

    Example: hypervisor actor test guest_book

    Example: hypervisor actor test guest_book --coverage
    """
    from hypervisor_tools.actor_project import lines_environment, project_commands

    *build, tests = project_commands(folder, build=not no_build)
    _require_pytest()
    variables = lines_environment(folder) if coverage else {}
    for command in [*build, [*tests, "--actor-coverage"] if coverage else tests]:
        status = _run(command, folder, variables)
        if status:
            raise typer.Exit(status)


@app.command("mutate")
def mutate(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Project folder.")] = Path(),
    no_build: Annotated[bool, typer.Option("--no-build", help="Change the existing build.")] = False,
    count: Annotated[int, typer.Option(min=1, help="Maximum number of mutants.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed with which mutants are drawn above this number.")] = 0,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0, max=100, metavar="PERCENT", help="Exit with status 1 below it.")
    ] = 0.0,
    workers: Workers = CORES,
    as_json: AsJson = False,
) -> None:
    """Change a project's module, one instruction each time, and list the changes that its tests do not detect.

    These are the tests that pytest finds, and the project's Solidity tests if it has a foundry.toml.

    Each mutant that no test detects is printed as soon as its tests have ended. A project in Rust is built with source
    lines, and only its own lines are changed. A test that fails without a change is an error. Exit status: 1 below
    --min-score, 2 if the tests cannot be run, otherwise 0.

    Example: hypervisor actor mutate guest_book
    """
    from hypervisor_tools.actor_mutation import (
        built_project,
        mutant_lines,
        mutation_json,
        run_mutants,
        summary_lines,
    )
    from hypervisor_tools.actor_project import lines_environment, project_commands

    _require_pytest()
    for command in project_commands(folder, build=not no_build)[:-1]:
        if _run(command, folder, lines_environment(folder)):
            raise InvalidInput(f"the build failed: {' '.join(command)}")
    project = built_project(folder)

    def show(mutant: ActorMutant, status: MutantStatus) -> None:
        typer.echo("\n".join(mutant_lines(project, mutant, status)), err=as_json)

    found = run_mutants(project, count, seed, workers, lambda line: typer.echo(line, err=True), show)
    typer.echo(json.dumps(mutation_json(found)) if as_json else "\n".join(summary_lines(found)))
    if found.stop is not None:
        raise typer.Exit(INTERRUPTED) if isinstance(found.stop, KeyboardInterrupt) else found.stop
    score = found.score()
    raise typer.Exit(int(score is not None and score < min_score))


@app.command("install")
def install(
    wasm: Annotated[Path, typer.Argument(metavar="WASM", help="Compiled actor (WASM module).")],
    state: _State = None,
    rpc: _Rpc = None,
    timeout: ResponseTimeout = RESPONSE_TIME,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="IPLD schema of its interface, stored with the code.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name for traces and logs (default: the file name).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Install an actor's code on a chain and print its code CID.

    The network has no message for this yet, so it changes the state of your own chain directly. A missing folder
    becomes a new chain. Code that the network's rules reject is refused.

    Example: hypervisor actor install guest_book.wasm --schema interface.ipldsch --state chain
    """
    from hypervisor_tools.cli.node_client import install_actor
    from localnet import Network
    from localnet.contracts.native_actor import read_interface, read_module

    chain = _chain(state, rpc)
    data, label = read_module(wasm), wasm.stem if name is None else name
    if isinstance(chain, str):
        code = install_actor(chain, data, schema, label)
    else:
        if not chain.exists():  # check first, so that a rejected module creates no folder
            _check_module(data)
            if schema is not None:
                read_interface(schema)
        with open_chain(chain) if chain.exists() else Network(chain) as network:
            code = show(network.actors.install(data, schema, name=label))
    typer.echo(json.dumps({"code": code}) if as_json else code)


@app.command("embed")
def embed(
    wasm: Annotated[Path, typer.Argument(metavar="WASM", help="Compiled actor (WASM module).")],
    schema: Annotated[Path, typer.Argument(metavar="SCHEMA", help="IPLD schema of its interface.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Output module.")],
    as_json: AsJson = False,
) -> None:
    """Add an actor's schema to its module, so that every chain with the code has it, and print the code CID.

    The schema is written to the custom section `ipld.schema`. Traces, the explorer and `inspect` use it without
    configuration, also on forks and imported snapshots. `actor install` then needs no --schema.

    Example: hypervisor actor embed guest_book.wasm interface.ipldsch --out guest_book_with_schema.wasm
    """
    from hypervisor.installation import check_output
    from localnet.contracts.native_actor import read_module, read_schema
    from localnet.state.named_code import with_schema

    check_output(out, "the module")
    module = with_schema(read_module(wasm), read_schema(schema))
    out.write_bytes(module)
    code = show(cid_of(module, RAW))
    typer.echo(json.dumps({"code": code, "file": str(out), "size": len(module)}) if as_json else code)


@app.command("create")
def create(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code CID printed by `install`.")],
    params: _Params = "",
    state: _State = None,
    rpc: _Rpc = None,
    timeout: ResponseTimeout = RESPONSE_TIME,
    value: Annotated[str, typer.Option(metavar="AMOUNT", help="Initial balance, newly minted.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Create an actor with installed code by its constructor, and print its addresses.

    Parameters are JSON, or CBOR as 0x and hex digits.

    Example: hypervisor actor create bafk... '{"owner": "f0100"}' --state chain
    """
    from hypervisor.messages.address import Address
    from hypervisor_tools.cli.node_client import create_actor

    chain = _chain(state, rpc)
    wanted, (values, cbor), amount = parse_block_cid(code), _read_params(params), payment(value)
    if isinstance(chain, str):
        found = {**create_actor(chain, code, values, cbor, amount), "code": code}
    else:
        with open_chain(chain) as network:
            actor = network.actors.create(wanted, values, value=amount, cbor=cbor)
            number = network.machine.state_tree.lookup_id(actor.address)
            assert number is not None, "an actor that was created has an ID"
            found = {"id": str(Address.id(number)), "address": str(actor.address), "code": code}
    typer.echo(json.dumps(found) if as_json else f"{found['id']}  {found['address']}")


@app.command("replace")
def replace(
    address: _Target,
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code CID printed by `install`.")],
    state: _State = None,
    rpc: _Rpc = None,
    timeout: ResponseTimeout = RESPONSE_TIME,
    as_json: AsJson = False,
) -> None:
    """Replace the code of an actor by installed code, or by that of a built-in actor. State, balance and nonce remain.

    The network has no message for this. The new code must be able to read the existing state.

    Example: hypervisor actor replace f0123 bafk... --rpc-url http://127.0.0.1:8545
    """
    from hypervisor_tools.cli.node_client import replace_actor

    chain, wanted = _chain(state, rpc), parse_block_cid(code)
    if isinstance(chain, str):
        replace_actor(chain, address, code)
    else:
        with open_chain(chain) as network:
            network.actors.replace(address, wanted)
    typer.echo(json.dumps({"address": address, "code": code}) if as_json else f"{address} has the code {code}")


@app.command("call")
def call(
    address: _Target,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Method name or number.")],
    params: _Params = "",
    state: _State = None,
    rpc: _Rpc = None,
    timeout: ResponseTimeout = RESPONSE_TIME,
    value: _Value = "0",
    account: Annotated[int, typer.Option(min=0, max=9, help="Index of the sending account (0 to 9).")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Simulate the call without storing changes.")] = False,
    schema: _Schema = None,
    as_json: AsJson = False,
) -> None:
    """Send a message to a method of an actor and print its return value.

    Parameters are JSON, or CBOR as 0x and hex digits. A method number without a known interface takes CBOR only, and
    its return value is printed as hex. Exit status: 0 if the actor exited with 0, 1 if not (the call is then
    reverted), 2 for malformed input.

    Example: hypervisor actor call f0123 Tip '{"note": "thanks"}' --value 1.5fil --state chain

    Example: hypervisor actor call f0123 633974955 0x81667468616e6b73 --rpc-url http://127.0.0.1:8545
    """
    from hypervisor_tools.cli.node_client import call_actor

    chain, (values, cbor), amount = _chain(state, rpc), _read_params(params), payment(value)
    wanted = int(method) if method.isascii() and method.isdigit() and len(method) <= _MAX_NUMBER_DIGITS else method
    if isinstance(chain, str):
        found = call_actor(chain, address, wanted, values, amount, account, dry_run, schema, cbor)
    else:
        with open_chain(chain) as network:
            found = _call(network, address, wanted, values, cbor, amount, network.accounts[account], dry_run, schema)
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(json.dumps(found["answer"]) if found["answer"] is not None else "done")


@app.command("inspect")
def inspect(
    address: _Target,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="Folder of a chain.")],
    schema: _Schema = None,
    as_json: AsJson = False,
) -> None:
    """Show an actor's code, balance, decoded state and methods.

    A node may have the folder open. `hypervisor inspect DIR ADDRESS/state/...` shows entries of maps.

    Example: hypervisor actor inspect f0123 --state chain
    """
    from hypervisor.text import printable
    from localnet.contracts.native_actor import read_schema
    from localnet.state.actor_interfaces import ActorSchema, StoredSchemas
    from localnet.state.inspection import StateInspector

    declared = None if schema is None else ActorSchema(read_schema(schema))
    with open_folder(state) as store:
        schemas = StoredSchemas(store, store)
        inspector = StateInspector(store, head_of(store), lambda actor: declared or schemas(actor))
        interface, fault = inspector.interface(address), inspector.schema_fault(address)
        found = inspector.read_path(address) | {
            "state": inspector.read_path(f"{address}/state"),
            "methods": [] if interface is None else [interface.signature(name) for name in sorted(interface.methods)],
        }
    if fault:
        typer.echo(f"note: shown undecoded: {printable(fault)}", err=True)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, item in found.items():
        for line in item if name == "methods" else [item]:
            typer.echo(f"{name:<18} {printable(line) if isinstance(line, str) else json.dumps(line)}")


def _require_pytest() -> None:
    from importlib.util import find_spec

    if find_spec("pytest") is None:
        raise InvalidInput("the tests of an actor need pytest: install it with `pip install pytest`")


def _run(command: list[str], folder: Path, variables: dict[str, str]) -> int:
    import subprocess

    try:  # the user's own project
        return subprocess.run(command, cwd=folder, check=False, env=os.environ | variables).returncode
    except FileNotFoundError:
        raise InvalidInput(f"{command[0]} is not installed: the project's README.md names its build tools") from None


def _check_module(data: bytes) -> None:
    """Raise InvalidModule if the machine's rules reject a module or it needs a disabled feature."""
    from hypervisor.machine.registry import Registry, RuntimeServices

    code = cid_of(data, RAW)
    _, runtime = Registry(RuntimeServices(), {}).runtime_for(code, lambda _: data)
    runtime.prepare({code: data}, features=())


def _call(
    network: Network,
    address: str,
    method: str | int,
    params: Any,
    cbor: bytes | None,
    value: int,
    account: Account,
    dry_run: bool,
    schema: Path | None,
) -> dict[str, Any]:
    from localnet.contracts.native_actor import actor_return

    actors = network.actors
    is_raw = schema is None and isinstance(method, int)
    actor = actors.unknown(address) if is_raw else actors.at(address, schema)
    if dry_run:
        data = actor.call_raw(method, params, value=value, sender=account, cbor=cbor)
        return {"answer": actor.interface.return_as_json(method, data)}
    receipt = actor.send(method, params, value=value, sender=account, cbor=cbor)
    return {
        "answer": actor.interface.return_as_json(method, actor_return(receipt)),
        "transaction": "0x" + receipt.hash.hex(),
        "gas_used": int(receipt.gas_used),
    }


def _chain(state: Path | None, rpc: str | None) -> Path | str:
    """Return the chain's folder or the node's URL, whichever is given; defaults to the environment's node."""
    chain = (rpc or os.environ.get(URL_VARIABLE)) if state is None else state
    if not chain or (state is not None and rpc is not None):
        message = f"name a folder with --state, or a node with --rpc-url or {URL_VARIABLE}"
        raise typer.BadParameter(message, param_hint="--state")
    return chain


def _read_params(text: str) -> tuple[Any, bytes | None]:
    """Parse parameters given as JSON, or as CBOR in 0x and hex digits."""
    if not text.startswith("0x"):
        return _json(text), None
    try:
        return None, bytes.fromhex(text[2:])
    except ValueError:
        raise InvalidInput(f"the parameters {text!r:.80} are not CBOR in hex: expected pairs of hex digits") from None


def _json(text: str) -> Any:
    from store.dag_json import decode_json

    if not text:
        return None
    try:
        return decode_json(text)
    except CodecError as error:
        raise InvalidInput(f"the parameters {text!r:.80}: {error}; text needs quotes, as '\"f0100\"'") from None
