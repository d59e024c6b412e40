"""The command line. Only the module of the requested command is imported.

A command imports its dependencies when it runs, so that its `--help` is fast.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from itertools import groupby
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from hypervisor_tools.cli.commands import COMMANDS, FAILED, INTERRUPTED, MISUSED, Row

_MAX_SHOWN: Final = 4000


class ErrorReportingGroup(TyperGroup):
    """A command group, for `Typer(cls=...)`, that prints errors as one sentence and exits with their status.

    Status 2 is for invalid input: unknown options, malformed values, and missing or invalid files. Status 1 is for
    failures. Text that an error quotes may be untrusted (an actor's, a server's), so control codes in it are escaped.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        from hypervisor.errors import HypervisorError, InvalidInput
        from store.blockstore import StoreError, StoreFormatError
        from store.car.files import CarError
        from store.codec import CodecError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except typer.BadParameter as error:
            state_limits(error)
            raise
        except (InvalidInput, CarError, StoreFormatError) as error:
            _end([str(error)], MISUSED)
        except (HypervisorError, StoreError, CodecError) as error:
            has_lines = isinstance(error, HypervisorError) and error.has_lines
            _end(str(error).splitlines() if has_lines else [str(error)], FAILED)
        except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            _end([_error_text(error)], MISUSED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # broken pipe: typer exits without a message
                raise
            _end([_error_text(error)], FAILED)


def _error_text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename is not None and error.strerror else str(error)


def _end(lines: list[str], status: int) -> NoReturn:
    from hypervisor.text import printable

    text = "\n".join(printable(line, _MAX_SHOWN) for line in lines)
    sys.stderr.write(f"error: {text}\n")
    raise typer.Exit(status) from None


class CommandLine(ErrorReportingGroup):
    """All commands, loaded by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, in the order of `--help`."""
        return [row.name for row in COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None.

        For an unknown name, load all commands so that typer can suggest similar ones.
        """
        is_known = any(row.name == cmd_name for row in COMMANDS)
        for row in COMMANDS:
            if row.name not in self.commands and (row.name == cmd_name or not is_known):
                self.commands[row.name] = _load(row)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments begin with; the name of one may have two words."""
        name = " ".join(args[:2])
        known = any(row.name == name for row in COMMANDS)
        return super().resolve_command(ctx, [name, *args[2:]] if known else args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. Without any, print the help as an error; typer would leave this to its renderer."""
        if not args:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(MISUSED)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the options and all commands in plain text: importing typer's renderer would take half of the time."""
        super(TyperGroup, self).format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Print all commands by panel, without importing them."""
        for panel, rows in groupby(COMMANDS, key=lambda row: row.panel):
            with formatter.section(panel):
                formatter.write_dl([(row.name, row.summary) for row in rows])


app = typer.Typer(
    cls=CommandLine,
    name="hypervisor",
    help="Run Filecoin's native actors and Ethereum contracts in one local VM.",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _load(row: Row) -> Any:
    loaded = _import(row.target)
    line = typer.Typer(rich_markup_mode="markdown")
    if isinstance(loaded, typer.Typer):
        line.add_typer(loaded, name=row.name)
    else:
        parser = {"cls": _import(row.parser)} if row.parser else {}
        line.command(row.name, **parser)(loaded)
    return get_group(line).commands[row.name]


def _import(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(f"hypervisor_tools.cli.{module}"), name)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"hypervisor {version('fvm-hypervisor')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options before a command."""


def main() -> None:
    """Run the command line."""
    app()


_OUT_OF_RANGE: Final = " is not in the range "
_NO_NUMBER: Final = " is not a valid "


def state_limits(error: typer.BadParameter) -> None:
    """Replace typer's text about a number that is out of range, or is not a number. Other texts are unchanged."""
    kind = getattr(error.param, "type", None)
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None and high is None:
        return
    value, out_of_range, _ = error.message.partition(_OUT_OF_RANGE)
    if out_of_range:
        direction = "larger" if low is not None and float(value) < low else "smaller"
        number = value.removesuffix(".0")
        error.message = f"{number} is out of range ({_limits(low, high)}); pass a {direction} number"
        return
    value, no_number, rest = error.message.partition(_NO_NUMBER)
    if no_number and rest.endswith(" range."):
        whole = "a whole number" if rest.startswith("int") else "a number"
        error.message = f"{value} is not {whole}; expected {_limits(low, high)}"


def _limits(low: Any, high: Any) -> str:
    if high is None:
        return f"{_shown(low)} or more"
    return f"{_shown(high)} or less" if low is None else f"{_shown(low)} to {_shown(high)}"


def _shown(number: float) -> str:
    """Return a number as users write it: 86400 rather than 86400.0."""
    return str(int(number)) if float(number).is_integer() else str(number)
