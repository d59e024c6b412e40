"""Settings of a local network."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO, INSTALL_AGAIN, entry_points_of, parse_version
from hypervisor.precompiles import Precompile
from hypervisor.proofs.verifier import ProofVerifier
from hypervisor.types import TokenAmount
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.stream_settings import StreamSettings
from localnet.accounts import DERIVATION_PATH, TEST_MNEMONIC
from localnet.chain.clock import Clock
from localnet.ledger.genesis import NOTHING_MORE, GenesisOptions
from localnet.ledger.upgrades import NO_UPGRADES, UpgradePlan

if TYPE_CHECKING:
    from localnet.fork.forking import ForkSource

_DRAFTS: Final = "hypervisor.drafts"
"""Entry-point group of the function that reads a draft's file, in a package above this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Settings of a local network.

    "Stored" settings are recorded in the network's folder: when the folder is opened again they may be omitted, and a
    different value raises InvalidInput. The other settings apply to this process only.

    >>> from localnet import Network, NetworkSettings
    >>> settings = NetworkSettings(rules="ethereum", chain_id=7)
    >>> with Network(settings=settings, account_count=2) as network:
    ...     network.chain_id, len(network.accounts)
    (7, 2)
    """

    bundle: Bundle | str | Path | None = None
    """Bundle of built-in actors, or its CAR file (default: this project's own). Stored."""
    network: int | str | Path | None = None
    """Network version (29 or `nv29`), or the file of a draft of one (default: the newest of the bundle). Stored."""
    overlay: Overlay | str | Path | None = None
    """Changes to prices and rules of network versions, or their file (`hypervisor.versions.overlay_file`). Stored."""
    rules: str | None = None
    """`filecoin` (default), `ethereum`, or `lab:NAME,...` for Filecoin's rules with labs (docs/labs). Stored."""
    hardfork: str = ""
    """Ethereum hardfork under Ethereum's rules (default: Osaka). Stored."""
    evm: str = AUTO
    """EVM engine that runs contracts (`hypervisor.machine.machine`)."""
    mnemonic: str = TEST_MNEMONIC
    """Mnemonic of the unlocked accounts."""
    derivation_path: str = DERIVATION_PATH
    """BIP-32 path of the accounts, without the last index."""
    account_count: int | None = None
    """Number of unlocked accounts (default: 10)."""
    balance: TokenAmount | None = None
    """Genesis balance of each account in attoFIL (default: 10,000 FIL), at its native and its Ethereum address.

    On a fork, accounts with less than 1 FIL get this balance.
    """
    genesis: GenesisOptions = NOTHING_MORE
    """Additional genesis balances, miners and verified clients."""
    chain_id: int | None = None
    """EIP-155 chain ID (default: 31415926, or 31337 under Ethereum's rules). Stored."""
    bare: bool = False
    """True if the genesis has no preinstalled contracts (`localnet.preinstalled`)."""
    gas_limit: int | None = None
    """Block gas limit under Ethereum's rules, from the genesis or the next block on."""
    fork: ForkSource | None = None
    """Network to fork: its state, actors, network version and chain ID at a block. Stored."""
    upgrades: UpgradePlan = field(default_factory=lambda: NO_UPGRADES)
    """Planned network upgrades by epoch. Stored; a folder's plan may be extended."""
    streams: StreamSettings | None = None
    """Governance of the block reward's streams from network version 29 on (`localnet.chain.streams`)."""
    clock: Clock = time.time
    """Source of the current time in Unix seconds."""
    deferred: bool = False
    """True if receipts are available one block later, as on the Filecoin network."""
    facade: bool = False
    """True if contracts can call built-in actors through Solidity interfaces (`bridge.actors.facade_runtime`)."""
    precompiles: Iterable[Precompile | str] = ()
    """Additional precompiles, or names of installed ones (docs/precompiles.md)."""
    keep_states: int | None = None
    """Number of blocks whose states a network in memory retains (default: 4,100, as anvil)."""
    read_only: bool = False
    """True to open a folder's chain at its head without writing to it, even while another process has it open."""
    actor_debugging: bool = False
    """True if native actors log (`hypervisor.kernel.actor_log`), which costs them gas."""
    proofs: ProofVerifier | None = None
    """Verifier of storage proofs, as `hypervisor.proofs.verifier.StorageProofs` (default: all are accepted)."""
    parallel: int = 1
    """Number of processes that execute a block's messages (`machine.parallel`). Results do not depend on it."""

    def with_options(self, options: dict[str, Any]) -> NetworkSettings:
        """Return these settings with some fields replaced, and with those of a draft's file if `network` is one.

        Raises TypeError for an unknown name, and InvalidInput for a value of the wrong type or an invalid draft.
        """
        known = [each.name for each in fields(self)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise TypeError(f"Network has no setting {unknown[0]!r}; expected one of {', '.join(known)}")
        changed = replace(self, **options)
        _check_types(changed)
        if isinstance(changed.network, str) and (number := parse_version(changed.network)) is not None:
            return replace(changed, network=number)
        return _under_draft(changed) if isinstance(changed.network, str | Path) else changed

    @property
    def version(self) -> int | None:
        """Network version by its number, once a draft's file is resolved by `with_options`."""
        if isinstance(self.network, str | Path):
            raise InvalidInput(f"the draft {self.network} is not resolved: pass the settings to Network")
        return self.network


_FILE: Final = (str, Path)
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "bundle": ((Bundle, *_FILE), "a Bundle or the path of its CAR file"),
    "network": ((int, *_FILE), "a network version or the path of a draft of one"),
    "overlay": ((Overlay, *_FILE), "an Overlay or the path of its file"),
    "rules": ((str,), "'filecoin', 'ethereum' or 'lab:NAME'"),
    "hardfork": ((str,), "the name of a hardfork, as 'Osaka'"),
    "evm": ((str,), "the name of an EVM engine, as 'auto'"),
    "mnemonic": ((str,), "the words of a mnemonic"),
    "derivation_path": ((str,), "a BIP-32 path, as \"m/44'/60'/0'/0\""),
    "genesis": ((GenesisOptions,), "GenesisOptions"),
    "upgrades": ((Mapping,), "a mapping of epochs to network versions"),
    "streams": ((StreamSettings,), "StreamSettings, as returned by stream_settings"),
    "precompiles": ((Iterable,), "a list of precompiles or their names"),
    **dict.fromkeys(("bare", "deferred", "facade", "read_only", "actor_debugging"), ((bool,), "True or False")),
}
"""Accepted types of the settings that are not numbers, and their description."""
_OPTIONAL: Final = ("bundle", "network", "overlay", "rules", "streams")
"""Settings that may also be None."""


def _check_types(settings: NetworkSettings) -> None:
    """Raise InvalidInput for a setting of the wrong type. Numbers are checked where they are used."""
    for name, (types, expected) in _TYPES.items():
        value = getattr(settings, name)
        if not isinstance(value, types) and not (value is None and name in _OPTIONAL):
            raise InvalidInput(f"the setting {name} cannot be {value!r:.60}: expected {expected}")
    if not callable(settings.clock):
        raise InvalidInput(f"the setting clock cannot be {settings.clock!r:.60}: expected a function, as time.time")
    if isinstance(settings.fork, str):
        raise InvalidInput("the setting fork cannot be text: Network.fork(url) forks the network of a node")
    if isinstance(settings.precompiles, str):
        raise InvalidInput(f"the setting precompiles cannot be text: expected a list, [{settings.precompiles!r:.60}]")


def _under_draft(settings: NetworkSettings) -> NetworkSettings:
    """Return the settings that a draft's file chooses. Raises InvalidInput."""
    reader = next(iter(entry_points_of(group=_DRAFTS)), None)
    if reader is None:
        raise InvalidInput(f"no reader of draft versions is registered: {INSTALL_AGAIN}")
    chosen: NetworkSettings = reader.load()(settings)
    return chosen
