"""A local Filecoin network in one process: chain, accounts, transactions, JSON-RPC.

    from localnet import Network

Names are loaded when first used, so importing the package stays cheap.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localnet.accounts import Account
    from localnet.chain.streams import stream_settings
    from localnet.contracts.contract import Artifact, Contract
    from localnet.contracts.native_actor import NativeActor
    from localnet.errors import CallFailed, NetworkError, TransactionFailed, TransactionRefused
    from localnet.explorer.application import explore
    from localnet.ledger.genesis import GenesisOptions
    from localnet.ledger.records import TransactionReceipt
    from localnet.miners.miner import Miner
    from localnet.network import Network
    from localnet.opening import NetworkSettings

_HOMES = {
    "Account": "localnet.accounts",
    "Artifact": "localnet.contracts.contract",
    "GenesisOptions": "localnet.ledger.genesis",
    "CallFailed": "localnet.errors",
    "Contract": "localnet.contracts.contract",
    "Miner": "localnet.miners.miner",
    "NativeActor": "localnet.contracts.native_actor",
    "Network": "localnet.network",
    "NetworkError": "localnet.errors",
    "NetworkSettings": "localnet.opening",
    "TransactionFailed": "localnet.errors",
    "TransactionReceipt": "localnet.ledger.records",
    "TransactionRefused": "localnet.errors",
    "explore": "localnet.explorer.application",
    "stream_settings": "localnet.chain.streams",
}

__all__ = [
    "Account",
    "Artifact",
    "CallFailed",
    "Contract",
    "GenesisOptions",
    "Miner",
    "NativeActor",
    "Network",
    "NetworkError",
    "NetworkSettings",
    "TransactionFailed",
    "TransactionReceipt",
    "TransactionRefused",
    "explore",
    "stream_settings",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'localnet' has no attribute '{name}'")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Include the names that are not imported yet, for `help` and completion."""
    return sorted({*globals(), *__all__})
