"""Options of `hypervisor node` for network versions: planned upgrades, and the streams of the block reward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fvm_hypervisor.cli.options import parsed_network

if TYPE_CHECKING:
    from hypervisor.migration_nv29 import StreamSettings

PANEL: Final = "Filecoin"

Version = Annotated[
    str | None,
    typer.Option(
        metavar="nvN",
        rich_help_panel=PANEL,
        help="The network version of a new chain (default: the newest, or the newest with the bundle's actors).",
    ),
]
NodeOverlay = Annotated[
    Path | None,
    typer.Option(
        "--overlay",
        metavar="FILE",
        rich_help_panel=PANEL,
        help="Other prices or rules than the network versions': a TOML file. A folder that has one needs it again.",
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--feature",
        metavar="NAME",
        rich_help_panel=PANEL,
        help="Turn on what the reference has behind a switch, m2-native or upgrade-actor: see docs/actors.md; may be "
        "repeated. A folder that has one needs it again.",
    ),
]
Upgrades = Annotated[
    list[str] | None,
    typer.Option(
        "--upgrade",
        metavar="nvN@EPOCH[=BUNDLE]",
        rich_help_panel=PANEL,
        help="Become another network version after an epoch, with this bundle's actors from then on; may be repeated.",
    ),
]
Swa = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=PANEL,
        help="Let this address govern the streams of the block reward, from nv29 on (default: f00). An account's 0x "
        "address sends with `hypervisor send`; its f1 address is another actor, that of `hypervisor actor call`.",
    ),
]
Sra = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=PANEL,
        help="Let this address set the shares of the second stream (default: f00); its form counts as with --swa.",
    ),
]
Orchestrator = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=PANEL,
        help="Let this address get all of the second stream at first (default: f00).",
    ),
]
Ramp = Annotated[
    int | None,
    typer.Option(
        metavar="EPOCHS",
        rich_help_panel=PANEL,
        help="Epochs in which the miners' stream would fall from 95 % to 50 %; 0: it is the only one (default: 900 "
        "with another of these options or behind an upgrade; a new chain of nv29 without any has one stream).",
    ),
]
Timelock = Annotated[
    int | None,
    typer.Option(
        metavar="EPOCHS",
        rich_help_panel=PANEL,
        help="Epochs from a write of --swa to its effect (default: as with --ramp: 50, else 0).",
    ),
]


def planned(entries: list[str] | None) -> dict[int, int | tuple[int, str]]:
    """Return the upgrades of --upgrade by epoch. Raises InvalidInput."""
    return dict(_parse_entry(entry) for entry in entries or ())


def _parse_entry(entry: str) -> tuple[int, int | tuple[int, str]]:
    """The epoch of `nv29@1000` or `nv28@1000=v18-devnet`, and what comes after it."""
    from hypervisor.errors import InvalidInput

    words, with_bundle, bundle = entry.partition("=")
    name, at, epoch = words.partition("@")
    if not at or not epoch.isascii() or not epoch.isdigit() or (with_bundle and not bundle):
        raise InvalidInput(f"'{entry}' is not an upgrade: expected nv29@1000 or nv28@1000=v18-devnet, for example")
    version = parsed_network(name)
    return int(epoch), (version, bundle) if bundle else version


def streams(**given: str | int | None) -> StreamSettings | None:
    """The streams that the options ask for, by the names of `stream_settings`; None if they ask for none.

    Raises InvalidInput.
    """
    from localnet.chain.streams import stream_settings

    asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return stream_settings(**asked) if asked else None
