"""Options, command classes and progress bars that several commands share.

`ArgumentsCommand` explains how to pass a negative number, and `ForeignOptions` how to replace an option of anvil or
forge that this program does not have.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from math import isnan
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import typer
from typer.core import TyperCommand

from hypervisor.errors import InvalidInput, RuntimeUnavailable
from localnet.traces.trace_command import DEFAULT_URL

if TYPE_CHECKING:
    from hypervisor.precompiles import Precompile
    from hypervisor.proofs.verifier import ProofVerifier
    from hypervisor_tools.laboratory.drafts import DraftVersion


def available_engine(engine: str | None) -> str | None:
    """Return `engine` if it is available in this installation; otherwise fail with a usage error (exit status 2)."""
    from hypervisor.installation import OFFICIAL_EVM

    if engine not in (None, OFFICIAL_EVM):
        from runtimes.evm import check_engine

        try:
            check_engine(engine)
        except RuntimeUnavailable as error:
            raise typer.BadParameter(str(error)) from None
    return engine


def in_panel(title: str) -> Callable[..., Any]:
    """Return a function like `typer.Option`, for options that `--help` lists in a panel with this title."""
    return partial(typer.Option, rich_help_panel=title)


URL: Final = DEFAULT_URL
URL_VARIABLE: Final = "ETH_RPC_URL"
RpcUrl = Annotated[
    str,
    typer.Option("--rpc-url", "--rpc", metavar="URL", envvar=URL_VARIABLE, help="URL of the node.", show_default=True),
]
CORES: Final = os.cpu_count() or 1
Workers = Annotated[int, typer.Option(min=1, help="Number of processes.", show_default="the number of cores")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
From = Annotated[
    str, typer.Option("--from", metavar="ADDRESS|N", help="Sender: an address, or the index of a node's account.")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--private-key",
        metavar="KEY",
        envvar="HYPERVISOR_PRIVATE_KEY",
        help="Private key to sign with, instead of the node's.",
    ),
]
Value = Annotated[str, typer.Option("--value", metavar="AMOUNT", help="Value to send: 1.5fil, 20wei, ...")]
GasLimit = Annotated[int | None, typer.Option("--gas-limit", min=1, help="Gas limit (default: the node's estimate).")]


def refuse_nan(seconds: float | None) -> float | None:
    """Return the value of an option with limits. Raises BadParameter for NaN, which passes both comparisons."""
    if seconds is not None and isnan(seconds):
        raise typer.BadParameter(f"'{seconds}' is not a valid float range.")  # `state_limits` adds the limits
    return seconds


Timeout = Annotated[float, typer.Option(min=0.0, callback=refuse_nan, help="Seconds to wait for the receipt.")]


def limit_responses(context: typer.Context, seconds: float) -> float:
    """Limit the seconds to wait for each response of a node while the command runs."""
    from hypervisor_tools.cli.rpc_client import RESPONSE_TIMEOUT

    refuse_nan(seconds)
    token = RESPONSE_TIMEOUT.set(seconds)
    context.call_on_close(lambda: RESPONSE_TIMEOUT.reset(token))
    return seconds


RESPONSE_TIME: Final = 120.0
"""Default of `ResponseTimeout` in seconds. Its callback sets the limit, so commands need not read the value."""
ResponseTimeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.001,
        max=86_400,
        callback=limit_responses,
        help="Seconds to wait for each response of the node.",
    ),
]
OverlayFile = Annotated[Path | None, typer.Option("--overlay", metavar="FILE", help="TOML overlay of prices or rules.")]
DraftFile = Annotated[
    str | None, typer.Option("--network", metavar="FILE", help="Draft network version (.toml) of the chain.")
]
TrustDraft = Annotated[bool, typer.Option("--trust", help="Allow the migration of the draft version to run.")]
Artifacts = Annotated[
    list[Path] | None,
    typer.Option("--artifacts", metavar="DIR", help="Folder of compiled contracts (default: out, artifacts)."),
]
EVM: Final = typer.Option("--evm", help="EVM engine.", callback=available_engine)
OwnEngine = Annotated[Literal["py-evm", "fast"], EVM]
Engines = Literal["py-evm", "fast", "official"]
OWN_ENGINE: Final = "fast"
"""Default engine if the bundle has no EVM actor: `hypervisor.machine.opening.OWN_EVM`."""
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="Address: f..., t... or 0x...")]
Function = Annotated[
    str, typer.Argument(metavar="FUNCTION", help="Signature: name(types)(return types); with --abi the name is enough.")
]
Arguments = Annotated[list[str] | None, typer.Argument(metavar="[ARGS]...", help="Arguments of the function.")]
Abi = Annotated[str | None, typer.Option("--abi", metavar="FILE|NAME", help="Compiled contract with the function.")]

Precompiles = Annotated[
    list[str] | None,
    typer.Option(
        "--precompile",
        metavar="NAME|FILE.toml",
        help="Installed precompile, or file of precompiles, that contracts can call; repeatable.",
    ),
]


def parse_precompiles(names: Sequence[str] | None) -> tuple[Precompile | str, ...]:
    """Return the precompiles named by `--precompile`: installed ones, or those of a TOML file. Raises InvalidInput."""
    from hypervisor.precompiles import read_precompiles

    found: list[Precompile | str] = []
    for word in names or ():
        found += read_precompiles(Path(word)) if word.endswith(".toml") else [word]
    return tuple(found)


VerifyProofs = Annotated[
    Path | None,
    typer.Option(
        "--verify-proofs",
        metavar="FOLDER",
        help="Verify storage proofs with the keys in FOLDER; needs the extension fvm-hypervisor-proofs.",
    ),
]


def proof_verifier(keys: Path | None, parallel: int) -> ProofVerifier | None:
    """Return the verifier that `--verify-proofs` selects, or None without it. Raises InvalidInput."""
    if keys is None:
        return None
    from hypervisor.proofs.verifier import StorageProofs

    if parallel > 1:
        raise InvalidInput(f"--verify-proofs and --parallel {parallel} cannot be used together: omit one of them")
    return StorageProofs(keys)


def parse_rules_name(name: str | None) -> str | None:
    """Return the name of installed rules unchanged. Raises BadParameter if they are not installed."""
    if name is not None:
        from hypervisor.installation import BUILT_IN_RULES, INSTALL_LABS, rule_names

        base = name.partition(":")[0]
        if base not in BUILT_IN_RULES and base not in rule_names():
            near = get_close_matches(base, rule_names(), 1)
            remedy = f": {INSTALL_LABS}" if base == "lab" else f": did you mean {near[0]}?" if near else ""
            raise typer.BadParameter(f"'{name}' is not one of {', '.join(rule_names())}{remedy}")
    return name


def rules_of_options(rules: str | None, names: Sequence[str] | None) -> str | None:
    """Return the name of rules with labs enabled, from `--rules` and each `--lab`. Raises InvalidInput."""
    from hypervisor.machine.rules import lab_names, rules_with_labs

    if not names:
        return rules
    labs = ",".join(names)
    if rules is not None and rules.startswith("lab:"):
        raise InvalidInput(f"labs were passed with both --rules {rules} and --lab {labs}: pass all of them with --lab")
    if rules != "lab":
        raise InvalidInput(f"--lab {labs} needs --rules lab (Filecoin's rules with labs): pass it too")
    chosen = labs.split(",")
    for choice in chosen:
        name = choice.partition("=")[0]
        if name not in lab_names() and name.lower() in lab_names():
            raise InvalidInput(f"there is no lab '{name}': names are lowercase, such as '{name.lower()}'")
    return rules_with_labs(chosen)


def load_draft(name: str | None, *, trust: bool) -> DraftVersion | None:
    """Return the draft version of an option `--network FILE`, and let this process run its migration.

    Raises InvalidInput for a name that is not a .toml file, and ConsentNeeded for a migration without consent.
    """
    from hypervisor_tools.laboratory.drafts import allow_draft, read_draft

    if name is None:
        return None
    draft = read_draft(Path(name))
    allow_draft(draft, trust=trust)
    return draft


_ANVIL_NETWORKS = ("ethereum", "optimism", "tempo")
"""Values of anvil's own `--network` (1.7.1)."""


def path_or_name(bundle: str) -> str | Path:
    """Return the path of a bundle's file, which workers may need a copy of; otherwise its name."""
    return Path(bundle) if Path(bundle).is_file() else bundle


def parsed_network(name: str) -> int:
    """Return the number of a network version such as nv29. Raises InvalidInput."""
    from hypervisor.installation import parse_version

    number = parse_version(name)
    if number is None:
        hint = "; for anvil's --network, use --rules ethereum" if name in _ANVIL_NETWORKS else ""
        raise InvalidInput(f"'{name:.40}' is not a network version: expected nv29, for example{hint}")
    return number


MAX_SLOTS: Final = 10_000_000
"""Maximum number of slots by which a contract's storage grows: 8 GB of memory."""


def parsed_numbers(text: str, option: str, highest: int) -> tuple[int, ...]:
    """Return the numbers of an option's list, each once. Raises BadParameter."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 20 and int(part) <= highest for part in parts):
        raise typer.BadParameter(f"{option} '{text}' is not a list of numbers from 0 to {highest:,}, such as 0,1,2")
    return tuple(dict.fromkeys(map(int, parts)))


_NEGATIVE: Final = re.compile(r"-[0-9]")


class ArgumentsCommand(TyperCommand):
    """A command whose errors explain how to pass a negative number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer. Raises InvalidInput for a negative number mistaken for an option."""
        before, negative = list(args), next((each for each in args if _NEGATIVE.match(each)), "")
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if negative and "--" not in before and _NEGATIVE.match(getattr(error, "option_name", None) or ""):
                raise InvalidInput(
                    f"{negative} looks like an option: put options first, then -- and the arguments, as in "
                    f"hypervisor {ctx.info_name} ... -- {negative}"
                ) from None
            raise


_ALIKE: Final = 0.9
"""Minimum similarity to another program's option name; typer suggests own names from 0.6 on."""


class ForeignOptions(TyperCommand):
    """A command that recognises another program's options."""

    origin: ClassVar[str]
    here: ClassVar[str]
    reasons: ClassVar[Mapping[str, str]]
    own: ClassVar[Mapping[str, str]] = {}
    """Replacements for options that other commands of this program have."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse with typer. Raises InvalidInput for an unsupported option of the other program, or a misspelled one."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            name = getattr(error, "option_name", None) or ""
            if name in self.own:
                raise InvalidInput(f"there is no option {name} here: {self.own[name]}") from None
            known = [option for parameter in self.params for option in parameter.opts]
            (near,) = get_close_matches(name, [*known, *self.reasons], 1, _ALIKE) or ("",)
            if near not in self.reasons:
                raise
            subject = name if name == near else f"there is no option {name}; {near}"
            text = f"{subject} is an option of {self.origin} that {self.here} does not have: {self.reasons[near]}"
            raise InvalidInput(text) from None


@contextmanager
def bytes_bar(what: str, total: int | None = None) -> Iterator[Callable[[int], None] | None]:
    """Yield a function that reports processed bytes; None if the output is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def running_line() -> Callable[[Sequence[tuple[str, float]]], None] | None:
    """Return a function that displays running tasks as (name, seconds); None if stderr is not a terminal.

    An empty sequence clears the line.
    """
    if not sys.stderr.isatty():
        return None
    shown = ""

    def show(running: Sequence[tuple[str, float]]) -> None:
        nonlocal shown
        text = ""
        if running:
            (name, seconds), *others = running
            text = f"running for {seconds:.0f} s: {name}{f' and {len(others)} more' if others else ''}"
        text = text[: get_terminal_size().columns - 1]
        if text != shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            shown = text

    return show


@contextmanager
def status_line(what: str) -> Iterator[Callable[[str], None] | None]:
    """Yield a function that reports progress of unknown length; None if the output is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda text: status.update(f"{what}: {text}")
