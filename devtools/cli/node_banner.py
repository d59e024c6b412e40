"""What a node says when it starts: accounts and keys in the order and under the headings that anvil's users know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypervisor.bundle_library import release_of
from localnet.accounts import DERIVATION_PATH
from localnet.addresses import checksummed
from localnet.call_text import show_fil
from store.cid import show

if TYPE_CHECKING:
    from localnet import Network
    from localnet.upgrades import Upgrade

_LINE = "=================="


def banner(network: Network, mnemonic: str, *, signs: bool) -> str:
    """The lines before the address that the node listens at."""
    parts = [
        _part("Available Accounts", [
            f"({number}) {checksummed(account.address)} ({show_fil(network.balance(account))})  {account.native}"
            for number, account in enumerate(network.accounts)
        ]),
        _part("Private Keys", [
            f"({number}) 0x{account.private_key.hex()}" for number, account in enumerate(network.accounts)
        ]),
        _part("Wallet", [f"Mnemonic:        {mnemonic}", f"Derivation path: {DERIVATION_PATH}"]),
        _part("Chain ID", [str(network.chain_id)]),
        _part("Network", [
            f"Version:         nv{network.version}",
            *(f"Upgrade:         nv{planned.version} after epoch {planned.epoch}" for planned in _planned(network)),
            f"Actors:          {_actors(network)}",
            f"Contracts:       run by {network.machine.registry.options['evm']}",
            f"Base fee:        {network.base_fee} attoFIL",
        ]),
    ]  # fmt: skip
    note = "These keys are public: whoever reads this can spend what they have. Use them here only."
    if not signs:
        note += "\nThe node listens beyond this machine, so it signs for nobody (--unlock lets it)."
    return "\n\n".join([*parts, note])


def _planned(network: Network) -> list[Upgrade]:
    """The upgrades that are still to come."""
    return [upgrade for upgrade in network.chain.record.upgrades.planned if upgrade.epoch >= network.block_number]


def _actors(network: Network) -> str:
    """The bundle of built-in actors by its release's name, or its manifest root."""
    root = network.machine.manifest.root
    release = release_of(root)
    return f"manifest {show(root)}" if release is None else f"{release.name} (manifest {show(root)})"


def _part(title: str, lines: list[str]) -> str:
    return "\n".join([title, _LINE, "", *lines])
