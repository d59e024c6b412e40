"""Settings of a node from its options: forks, upgrades and reward streams; and its start-up text.

Options for forks have anvil's names. Accounts and keys are printed in anvil's order and under its headings.
"""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypervisor.errors import InvalidInput
from hypervisor.installation import OFFICIAL_EVM
from hypervisor_tools.cli.options import in_panel, parsed_network
from store.cid import show

if TYPE_CHECKING:
    from hypervisor.bundles.bundle import Bundle
    from hypervisor.versions.stream_settings import StreamSettings
    from localnet import Network
    from localnet.fork.forking import ForkSource
    from localnet.ledger.upgrades import Upgrade

_fork_option, filecoin_option = in_panel("Forks"), in_panel("Filecoin")

ForkUrl = Annotated[
    str | None,
    _fork_option(
        "--fork-url",
        "--rpc-url",
        "-f",
        metavar="URL[@BLOCK]",
        help="Fork the network of this node: a Filecoin node, or with --rules ethereum any Ethereum node. "
        "State is fetched on first use.",
    ),
]
ForkBlock = Annotated[
    int | None,
    _fork_option(
        "--fork-block-number",
        "--fork-epoch",
        metavar="N",
        help="Block or epoch to fork at (default: the head); negative numbers count back from the head.",
    ),
]
ForkHeaders = Annotated[
    list[str] | None,
    _fork_option(
        "--fork-header", metavar="'NAME: VALUE'", help="HTTP header for requests to the forked node; repeatable."
    ),
]
Timeout = Annotated[
    int, _fork_option("--timeout", min=1, metavar="MS", help="Timeout of requests to the forked node in milliseconds.")
]
RetryCount = Annotated[
    int,
    _fork_option(
        "--retries",
        "--fork-retries",
        min=0,
        max=100,
        metavar="N",
        help="Number of retries of a rate-limited or dropped request.",
    ),
]
RetryBackoff = Annotated[
    int,
    _fork_option(
        "--fork-retry-backoff",
        min=0,
        metavar="MS",
        help="Delay before the first retry in milliseconds. It doubles each time, unless the node requests"
        " another delay.",
    ),
]
ComputeUnits = Annotated[
    int,
    _fork_option(
        "--compute-units-per-second",
        min=1,
        metavar="CUPS",
        help="Compute units per second, 17 per request. Applies after the node first rate-limits a request.",
    ),
]
NoRateLimit = Annotated[
    bool,
    _fork_option("--no-rate-limit", "--no-rpc-rate-limit", help="Disable the limit on requests to the forked node."),
]
ForkChainId = Annotated[
    int | None,
    _fork_option(
        "--fork-chain-id",
        metavar="ID",
        help="Chain ID of the forked network (default: the node reports it). --chain-id sets that of this network.",
    ),
]
ForkTransaction = Annotated[
    str | None,
    _fork_option(
        "--fork-transaction-hash",
        metavar="HASH",
        help="With --rules ethereum: fork after this transaction instead of a block.",
    ),
]
NoStorageCaching = Annotated[
    bool,
    _fork_option(
        "--no-storage-caching",
        help="Do not cache responses on disk. Those of local nodes are cached with --state only.",
    ),
]
Offline = Annotated[
    bool, _fork_option("--offline", help="Read the fork from the cache only: no request is sent to its node.")
]


def fork_source(
    url: str | None,
    block: int | None,
    silent: bool,
    *,
    transaction: str | None,
    chain_id: int | None,
    headers: list[str] | None,
    timeout: int,
    retries: int,
    backoff: int,
    compute_units: int | None,
    caches: bool | None,
    offline: bool,
) -> ForkSource | None:
    """Return the fork that the options select, or None. Raises InvalidInput."""
    if url is None:
        if block is not None or transaction is not None:
            raise InvalidInput("a block to fork at needs a node: pass --fork-url")
        if offline:
            raise InvalidInput("--offline reads a fork from the cache: pass --fork-url too")
        if chain_id is not None:
            raise InvalidInput(f"--fork-chain-id {chain_id} is the chain ID of a forked network: pass --fork-url too")
        return None
    from hypervisor.types import whole_number
    from localnet.fork.forking import ForkSource
    from localnet.fork.node_client import RequestOptions
    from localnet.fork.node_client import headers as parsed_headers
    from localnet.fork.urls import redacted_url
    from localnet.ledger.genesis import MAX_CHAIN_ID

    if chain_id is not None:
        whole_number(chain_id, "a chain id", 1, MAX_CHAIN_ID)
    if transaction is not None and not re.fullmatch(r"0x[0-9a-fA-F]{64}", transaction):
        raise InvalidInput(f"'{transaction:.80}' is not the hash of a transaction: expected 0x and 64 hex digits")
    node, at, suffix = url.rpartition("@")
    if at and suffix.isascii() and suffix.isdigit():
        url = node
        if block is not None:
            raise InvalidInput(f"--fork-url names block {suffix}, --fork-block-number {block}: omit one of them")
        block = int(suffix)

    def report_wait(seconds: float) -> None:
        if not silent:
            typer.echo(f"waiting for {redacted_url(url)} for {seconds:.0f} s", err=True)

    options = RequestOptions(
        timeout=timeout / 1000,
        retries=retries,
        backoff=backoff / 1000,
        compute_units=compute_units,
        headers=parsed_headers(headers or ()),
        offline=offline,
    )
    if transaction is not None and block is not None:
        raise InvalidInput("--fork-transaction-hash already selects the block: omit the other option")
    after = None if transaction is None else bytes.fromhex(transaction[2:])
    return ForkSource(url, block, report_wait, options, caches, after, chain_id)


Version = Annotated[
    str | None,
    filecoin_option(
        metavar="nvN|FILE",
        help="Network version of a new chain, or the draft of one (.toml) to start with or to upgrade to (default: the "
        "newest, or the newest that the bundle supports).",
    ),
]
Trust = Annotated[bool, filecoin_option("--trust", help="Allow the migration of the draft version to run.")]
NodeOverlay = Annotated[
    Path | None,
    filecoin_option(
        "--overlay",
        metavar="FILE",
        help="TOML overlay of prices or rules. A folder created with one must be opened with it.",
    ),
]
Features = Annotated[
    list[str] | None,
    filecoin_option(
        "--feature",
        metavar="NAME",
        help="Enable an optional feature: m2-native, upgrade-actor or code-formats (docs/actors.md); repeatable. A "
        "folder created with one must be opened with it.",
    ),
]
Upgrades = Annotated[
    list[str] | None,
    filecoin_option(
        "--upgrade",
        metavar="nvN@EPOCH[=BUNDLE]",
        help="Upgrade to a network version after an epoch, with the actors of this bundle; repeatable.",
    ),
]
Swa = Annotated[
    str | None,
    filecoin_option(
        metavar="ADDRESS",
        help="Address that governs the block reward's streams, from nv29 on (default: f00). Use an "
        "account's 0x address with `hypervisor send`, its f1 address with `hypervisor actor call`.",
    ),
]
Sra = Annotated[
    str | None,
    filecoin_option(
        metavar="ADDRESS",
        help="Address that sets the shares of the second stream (default: f00). Address forms as with --swa.",
    ),
]
Orchestrator = Annotated[
    str | None, filecoin_option(metavar="ADDRESS", help="Initial recipient of the second stream (default: f00).")
]
Ramp = Annotated[
    int | None,
    filecoin_option(
        metavar="EPOCHS",
        help="Number of epochs over which the miners' stream falls from 95 % to 50 %. With 0 it is the "
        "only stream (default: 900 with another of these options or after an upgrade, otherwise 0).",
    ),
]
Timelock = Annotated[
    int | None,
    filecoin_option(
        metavar="EPOCHS", help="Delay of changes made by --swa in epochs (default: 50 if --ramp is not 0, otherwise 0)."
    ),
]


def network_options(
    network: str | None, overlay: Path | None, upgrades: list[str] | None, bundle: str | None, trust: bool, forks: bool
) -> dict[str, Any]:
    """Return the settings of a network that options choose: version, overlay, planned upgrades and bundle.

    A draft's file chooses all of them (`hypervisor_tools.laboratory.drafts.draft_options`). Raises InvalidInput.
    """
    from hypervisor.machine.opening import load_overlay

    plan = parse_upgrades(upgrades)
    if network is None or not network.endswith(".toml"):
        version = None if network is None else parsed_network(network)
        return {"network": version, "overlay": load_overlay(overlay), "upgrades": plan, "bundle": bundle}
    from hypervisor_tools.laboratory.drafts import (  # with what builds actors: loaded for drafts only
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


_LINE = "=================="


def config(network: Network, mnemonic: str, path: str) -> dict[str, Any]:
    """Return the content of --config-out: accounts, keys and prices, in the fields of anvil's file."""
    return {
        "available_accounts": [f"0x{account.address.hex()}" for account in network.accounts],
        "private_keys": [f"0x{account.private_key.hex()}" for account in network.accounts],
        "wallet": {"derivation_path": path, "mnemonic": mnemonic},
        "base_fee": str(network.base_fee),
        "gas_price": str(network.base_fee + network.rules.fees.premium),
        "gas_limit": str(network.rules.limits.block_gas),
        "genesis_timestamp": str(network.chain.index.tipset(network.chain.index.first).timestamp),
    }


def banner(network: Network, mnemonic: str, path: str, *, signs: bool) -> str:
    """Return the startup banner, which is printed before the listening address."""
    from bridge.ethereum.addresses import checksummed
    from hypervisor.text import show_fil

    parts = [
        _part("Available Accounts", [
            f"({number}) {checksummed(account.address)} ({show_fil(network.balance(account))})  {account.native}"
            for number, account in enumerate(network.accounts)
        ]),
        _part("Private Keys", [
            f"({number}) 0x{account.private_key.hex()}" for number, account in enumerate(network.accounts)
        ]),
        _part("Wallet", [f"Mnemonic:        {mnemonic}", f"Derivation path: {path}"]),
        _part("Chain ID", [str(network.chain_id)]),
        _part("Network", [
            f"Rules:           {f'{network.rules.name} {network.rules.hardfork}'.strip()}",
            f"Version:         nv{network.version}",
            *(f"Upgrade:         nv{each.version} after epoch {each.epoch}" for each in _future_upgrades(network)),
            *([] if network.overlay is None else [f"Overlay:         {network.overlay}"]),
            f"Actors:          {_actors(network)}",
            *_mismatch(network),
            *_origin(network),
            f"Contracts:       run by {network.machine.registry.options['evm']}",
            *_gas(network),
            f"Base fee:        {network.base_fee} attoFIL",
        ]),
    ]  # fmt: skip
    note = "These keys are public: anyone can spend their funds. Use them locally only."
    if not signs:
        note += "\nThe node listens beyond this machine, so it signs for no account (use --unlock to sign)."
    return "\n\n".join([*parts, note])


def _future_upgrades(network: Network) -> list[Upgrade]:
    return [upgrade for upgrade in network.chain.record.upgrades.planned if upgrade.epoch >= network.block_number]


def _actors(network: Network) -> str:
    from hypervisor.bundles.bundle_library import release_of

    root = network.machine.manifest.root
    release = release_of(root)
    return f"manifest {show(root)}" if release is None else f"{release.name} (manifest {show(root)})"


def _gas(network: Network) -> list[str]:
    """Return how close gas is to the network's, and how it is exact, if an engine of this project runs contracts."""
    from hypervisor.bundles.bundle_library import release_of
    from hypervisor.versions.network_versions import network_version_row

    if network.rules.hardfork or network.machine.registry.options["evm"] == OFFICIAL_EVM:
        return []
    actors = f"v{network_version_row(network.version, network.overlay).actors}"
    official = release_of(network.machine.manifest.root) is not None
    exact = "--evm official" if official else f"--bundle {actors}, after `hypervisor bundle fetch {actors}`"
    return [f"Gas:             an estimate, within a tenth for usual transactions; exact with {exact}"]


def _mismatch(network: Network) -> list[str]:
    """Return warnings for official bundles that do not match the network version, now or after a planned upgrade."""
    from hypervisor.bundles.bundle_library import release_of
    from hypervisor.versions.network_versions import network_version_row

    release = release_of(network.machine.manifest.root)
    if release is None:
        return []
    remedies = {network.version: "--bundle {0}, or another --network"}
    for planned in takewhile(lambda upgrade: upgrade.actors is None, _future_upgrades(network)):
        remedies[planned.version] = f"--upgrade nv{planned.version}@{planned.epoch}={{0}}"
    return [
        f"Warning:         nv{version} runs actors v{wanted} on the network, not v{release.version}: use "
        + remedy.format(f"v{wanted}-{release.network}")
        for version, remedy in remedies.items()
        if (wanted := network_version_row(version, network.overlay).actors) != release.version
    ]


def _origin(network: Network) -> list[str]:
    origin = network.chain.origin
    if origin is None:
        return []
    from bridge.ethereum.block import ETHEREUM
    from localnet.fork.urls import redacted_url

    point, what = origin.point, "block" if network.rules.name == ETHEREUM else "epoch"
    return [f"Fork:            of {redacted_url(point.url) or 'a snapshot'}, after {what} {point.height}"]


def _part(title: str, lines: list[str]) -> str:
    return "\n".join([title, _LINE, "", *lines])
