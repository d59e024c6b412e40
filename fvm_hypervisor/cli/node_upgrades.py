"""Options of `hypervisor node` for network versions: planned upgrades, and the streams of the block reward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fvm_hypervisor.cli.options import parsed_network

if TYPE_CHECKING:
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.versions.stream_settings import StreamSettings

PANEL: Final = "Filecoin"

Version = Annotated[
    str | None,
    typer.Option(
        metavar="nvN|FILE",
        rich_help_panel=PANEL,
        help="Network version of a new chain, or the draft of one (.toml) to start with or to upgrade to (default: the "
        "newest, or the newest that the bundle supports).",
    ),
]
Trust = Annotated[
    bool,
    typer.Option("--trust", rich_help_panel=PANEL, help="Allow the migration of the draft version to run."),
]
NodeOverlay = Annotated[
    Path | None,
    typer.Option(
        "--overlay",
        metavar="FILE",
        rich_help_panel=PANEL,
        help="TOML overlay of prices or rules. A folder created with one must be opened with it.",
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        "--feature",
        metavar="NAME",
        rich_help_panel=PANEL,
        help="Enable an optional FVM feature, m2-native or upgrade-actor (docs/actors.md); repeatable. A "
        "folder created with one must be opened with it.",
    ),
]
Upgrades = Annotated[
    list[str] | None,
    typer.Option(
        "--upgrade",
        metavar="nvN@EPOCH[=BUNDLE]",
        rich_help_panel=PANEL,
        help="Upgrade to a network version after an epoch, with the actors of this bundle; repeatable.",
    ),
]
Swa = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=PANEL,
        help="Address that governs the block reward's streams, from nv29 on (default: f00). Use an "
        "account's 0x address with `hypervisor send`, its f1 address with `hypervisor actor call`.",
    ),
]
Sra = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=PANEL,
        help="Address that sets the shares of the second stream (default: f00). Address forms as with --swa.",
    ),
]
Orchestrator = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        rich_help_panel=PANEL,
        help="Initial recipient of the second stream (default: f00).",
    ),
]
Ramp = Annotated[
    int | None,
    typer.Option(
        metavar="EPOCHS",
        rich_help_panel=PANEL,
        help="Number of epochs over which the miners' stream falls from 95 % to 50 %. With 0 it is the "
        "only stream (default: 900 with another of these options or after an upgrade, otherwise 0).",
    ),
]
Timelock = Annotated[
    int | None,
    typer.Option(
        metavar="EPOCHS",
        rich_help_panel=PANEL,
        help="Delay of changes made by --swa in epochs (default: 50 if --ramp is not 0, otherwise 0).",
    ),
]


def network_options(
    network: str | None, overlay: Path | None, upgrades: list[str] | None, bundle: str | None, trust: bool, forks: bool
) -> dict[str, Any]:
    """Return the settings of a network that options choose: version, overlay, planned upgrades and bundle.

    A draft's file chooses all of them (`fvm_hypervisor.laboratory.drafts.draft_options`). Raises InvalidInput.
    """
    from hypervisor.machine.opening import load_overlay

    plan = parse_upgrades(upgrades)
    if network is None or not network.endswith(".toml"):
        version = None if network is None else parsed_network(network)
        return {"network": version, "overlay": load_overlay(overlay), "upgrades": plan, "bundle": bundle}
    from fvm_hypervisor.laboratory.drafts import (  # with what builds actors: loaded for drafts only
        allow_draft,
        draft_options,
        named_draft,
    )

    draft = named_draft(network, overlay)
    assert draft is not None, "the name ends in .toml"
    allow_draft(draft, trust=trust)
    return draft_options(draft, plan, bundle, forks=forks)


def parse_upgrades(entries: list[str] | None) -> dict[int, int | tuple[int, Bundle | str | Path]]:
    """Return the upgrades of --upgrade by epoch. Raises InvalidInput."""
    return dict(_parse_entry(entry) for entry in entries or ())


def _parse_entry(entry: str) -> tuple[int, int | tuple[int, str]]:
    """Return the epoch and the upgrade of an entry such as `nv29@1000` or `nv28@1000=v18-devnet`."""
    from hypervisor.errors import InvalidInput

    upgrade, with_bundle, bundle = entry.partition("=")
    name, at, epoch = upgrade.partition("@")
    if not at or not epoch.isascii() or not epoch.isdigit() or (with_bundle and not bundle):
        raise InvalidInput(f"'{entry}' is not an upgrade: expected nv29@1000 or nv28@1000=v18-devnet, for example")
    version = parsed_network(name)
    return int(epoch), (version, bundle) if bundle else version


def streams(**options: str | int | None) -> StreamSettings | None:
    """Return the stream settings given by options named as in `stream_settings`; None if there are none.

    Raises InvalidInput.
    """
    from localnet.chain.streams import stream_settings

    settings: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    return stream_settings(**settings) if settings else None
