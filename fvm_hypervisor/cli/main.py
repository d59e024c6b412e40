"""The command line: one module per group of commands.

A command imports its dependencies when it runs, so that `--help` is fast.
"""

import sys
from copy import copy
from typing import Annotated

import typer

from fvm_hypervisor.cli import (
    actors,
    balance,
    bindings,
    bundles,
    call,
    car,
    compare,
    create,
    demo,
    deploy,
    doctor,
    encoding,
    ethereum,
    explore,
    extract,
    gas,
    gc,
    inspect,
    node,
    profile,
    replay,
    script,
    send,
    solidity,
    step,
    test,
    trace,
    trust,
    vectors,
    verify_bytecode,
    wallet,
)
from fvm_hypervisor.cli.anvil_options import NodeCommand
from fvm_hypervisor.cli.forge_options import ScriptCommand, TestCommand
from fvm_hypervisor.cli.negative_numbers import ArgumentsCommand
from fvm_hypervisor.cli.project_options import CreateCommand, VerifyCommand
from fvm_hypervisor.cli.refusing import Refusing

USE_IT = "Use it"
STATE = "Actors and state"
CHECK_IT = "Check it"

app = typer.Typer(
    cls=Refusing,
    name="hypervisor",
    help="Run Filecoin's native actors and Ethereum contracts in one local VM.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("demo", rich_help_panel=USE_IT)(demo.demo)
app.command("doctor", rich_help_panel=USE_IT)(doctor.doctor)
app.command("node", cls=NodeCommand, rich_help_panel=USE_IT)(node.node)
app.command("deploy", cls=ArgumentsCommand, rich_help_panel=USE_IT)(deploy.deploy)
app.command("create", cls=CreateCommand, rich_help_panel=USE_IT)(create.create)
app.command("call", cls=ArgumentsCommand, rich_help_panel=USE_IT)(call.call)
app.command("send", cls=ArgumentsCommand, rich_help_panel=USE_IT)(send.send)
app.command("trace", rich_help_panel=USE_IT)(trace.trace)
app.command("step", cls=ArgumentsCommand, rich_help_panel=USE_IT)(step.step)
app.command("profile", rich_help_panel=USE_IT)(profile.profile)
app.command("explore", rich_help_panel=USE_IT)(explore.explore)
app.command("test", cls=TestCommand, rich_help_panel=USE_IT)(test.run_tests)
app.command("trust", rich_help_panel=USE_IT)(trust.trust)
app.command("script", cls=ScriptCommand, rich_help_panel=USE_IT)(script.script)
app.command("verify-bytecode", cls=VerifyCommand, rich_help_panel=USE_IT)(verify_bytecode.verify_bytecode)
app.command("inspect", rich_help_panel=USE_IT)(inspect.inspect)
app.command("decode", rich_help_panel=USE_IT)(encoding.decode)
app.command("encode", rich_help_panel=USE_IT)(encoding.encode)
app.command("balance", rich_help_panel=USE_IT)(balance.balance)
app.command("bindings", rich_help_panel=USE_IT)(bindings.bindings)
app.command("solidity", rich_help_panel=USE_IT)(solidity.solidity)
app.add_typer(wallet.app, name="wallet", rich_help_panel=USE_IT)
app.command("gc", rich_help_panel=STATE)(gc.gc)
app.command("replay", rich_help_panel=CHECK_IT)(replay.replay)
app.command("compare", rich_help_panel=CHECK_IT)(compare.compare)
app.command("gas", rich_help_panel=CHECK_IT)(gas.gas)
app.command("conformance", rich_help_panel=CHECK_IT)(vectors.conformance)
app.command("extract", rich_help_panel=CHECK_IT)(extract.extract)
app.command("fevmtest", rich_help_panel=CHECK_IT)(vectors.fevmtest)
app.command("actortest", rich_help_panel=CHECK_IT)(vectors.actortest)
app.command("statetest", rich_help_panel=CHECK_IT)(ethereum.statetest)
app.command("blocktest", rich_help_panel=CHECK_IT)(ethereum.blocktest)
app.command("t8n", rich_help_panel=CHECK_IT)(ethereum.t8n)
app.add_typer(actors.app, name="actor", rich_help_panel=STATE)
app.add_typer(bundles.app, name="bundle", rich_help_panel=STATE)
app.add_typer(car.app, name="car", rich_help_panel=STATE)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from store.compiled import form

        typer.echo(f"hypervisor {version('fvm-hypervisor')} ({form()})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options before a command."""


def main() -> None:
    """Run the command line. Only the requested command is registered, because Typer builds the options of every one."""
    wanted, line = sys.argv[1:2], copy(app)
    commands = [one for one in app.registered_commands if one.name in wanted]
    groups = [one for one in app.registered_groups if one.name in wanted]
    if commands or groups:
        line.registered_commands, line.registered_groups = commands, groups
    line()
