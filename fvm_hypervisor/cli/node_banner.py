"""Start-up text of a node: accounts and keys in anvil's order and under its headings."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localnet import Network
    from localnet.ledger.upgrades import Upgrade

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
            *_overlay(network),
            f"Actors:          {_actors(network)}",
            *_mismatch(network),
            *_origin(network),
            f"Contracts:       run by {network.machine.registry.options['evm']}",
            f"Base fee:        {network.base_fee} attoFIL",
        ]),
    ]  # fmt: skip
    note = "These keys are public: anyone can spend their funds. Use them locally only."
    if not signs:
        note += "\nThe node listens beyond this machine, so it signs for no account (use --unlock to sign)."
    return "\n\n".join([*parts, note])


def _future_upgrades(network: Network) -> list[Upgrade]:
    """Return the upgrades that are still ahead."""
    return [upgrade for upgrade in network.chain.record.upgrades.planned if upgrade.epoch >= network.block_number]


def _actors(network: Network) -> str:
    """Return the bundle of built-in actors as a release name, if any, and its manifest root."""
    from hypervisor.bundles.bundle_library import release_of
    from store.cid import show

    root = network.machine.manifest.root
    release = release_of(root)
    return f"manifest {show(root)}" if release is None else f"{release.name} (manifest {show(root)})"


def _overlay(network: Network) -> list[str]:
    """Return the line about differences from the network version's prices and rules."""
    overlay = network.overlay
    return [] if overlay is None else [f"Overlay:         {overlay}"]


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
    """Return the line about a fork's origin: a node's network, or a chain's snapshot."""
    origin = network.chain.origin
    if origin is None:
        return []
    from bridge.ethereum.block import ETHEREUM
    from localnet.fork.node_client import redacted_url  # loaded for forks only

    point, what = origin.point, "block" if network.rules.name == ETHEREUM else "epoch"
    return [f"Fork:            of {redacted_url(point.url) or 'a snapshot'}, after {what} {point.height}"]


def _part(title: str, lines: list[str]) -> str:
    return "\n".join([title, _LINE, "", *lines])
