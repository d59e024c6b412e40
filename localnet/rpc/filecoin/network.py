"""Network parameters in Lotus' format: name, minimum power, upgrade epochs.

Fields: lotus api/types.go, `NetworkParams`, including the upgrade height of version 29.
"""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from hypervisor.bundles.bundle_library import release_of
from hypervisor.machine.machine import Hypervisor
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion, versions_after, versions_between
from hypervisor.versions.overlay import Overlay
from localnet.ledger.upgrades import Upgrades
from localnet.rpc.filecoin_node import BLOCK_DELAY
from localnet.rpc.methods import Method
from localnet.rpc.node import Node, NodeReader

_EARLIER_HEIGHTS: Final = {
    "Breeze": -1, "Smoke": -1, "Ignition": -2, "Refuel": -3, "Tape": -4, "Assembly": -5, "Liftoff": -6, "Kumquat": -7,
    "Calico": -9, "Persian": -10, "Orange": -11, "Claus": -12, "Trust": -13, "Norwegian": -14, "Turbo": -15,
    "Hyperdrive": -16, "Chocolate": -17, "OhSnap": -18, "Skyr": -19, "Shark": -20,
}  # fmt: skip
"""Heights of the upgrades before the first version of this machine, on lotus' development network (params_2k.go)."""
_FOLLOWED_BY: Final = {"Dragon": "Phoenix"}
"""Upgrade without a network version (a change of the beacon), by the upgrade before it."""
_DRAFT: Final = "Xx"
"""Name of the upgrade to a draft version, as Lotus names the next one before it has a name."""
_TAMPING: Final = "BreezeGasTampingDuration"
_NEVER: Final = 9_999_999_999
"""The height of an upgrade that is not planned."""
_MIN_POWER: Final = {"mainnet": 10 << 40, "calibrationnet": 32 << 30, "butterflynet": 2 << 30}
_DEVELOPMENT_POWER: Final = 2048
"""Minimum power in bytes for consensus of other bundles; `_MIN_POWER` has that of a release by its network.

Source: builtin-actors runtime/src/runtime/policy.rs and the features of each release in its Makefile.
"""
_CHALLENGE_DELAY: Final = dict.fromkeys(("mainnet", "calibrationnet"), 150)
_DEVELOPMENT_DELAY: Final = 10
"""Epochs between the pre-commitment and the proof of a sector."""


def state_get_network_params(node: Node) -> dict[str, Any]:
    """Return network name, chain ID, block delay, minimum power, and the epoch of each upgrade.

    Upgrades before the start of the chain have negative heights, as on lotus' development networks. The height of an
    unplanned upgrade is 9,999,999,999. An upgrade takes effect at the end of its epoch.
    """
    chain = node.network.chain
    record, first = chain.record, chain.index.tipset(chain.index.first)
    return {
        "NetworkName": record.name,
        "BlockDelaySecs": BLOCK_DELAY,
        "ConsensusMinerMinPower": str(minimum_power(node, node.network.machine)),
        "PreCommitChallengeDelay": _CHALLENGE_DELAY.get(record.name, _DEVELOPMENT_DELAY),
        "ForkUpgradeParams": heights(record.upgrades, record.overlay),
        "Eip155ChainID": node.network.chain_id,
        "GenesisTimestamp": first.timestamp,
    }


def minimum_power(node: NodeReader, machine: Hypervisor) -> int:
    """Return the minimum power for consensus in bytes, which the release of the built-in actors determines.

    For custom actors, the network's name decides.
    """
    release = release_of(machine.manifest.root)
    name = node.network.chain.record.name if release is None else release.network
    return _MIN_POWER.get(name, _DEVELOPMENT_POWER)


def heights(upgrades: Upgrades, overlay: Overlay | None = None) -> dict[str, int]:
    """Return the epoch of each upgrade, by its key in Lotus; `overlay` may add a draft version."""
    found = {_key(name): height for name, height in _EARLIER_HEIGHTS.items()}
    past = [name for row in versions_between(0, upgrades.first, overlay) for name in _names(row)]
    found |= {
        _key(name): height for name, height in zip(past, count(min(_EARLIER_HEIGHTS.values()) - 1, -1), strict=False)
    }
    for row in versions_after(upgrades.first, overlay):
        epochs = (each.epoch for each in upgrades.planned if upgrades.first < row.number <= each.version)
        found |= dict.fromkeys(map(_key, _names(row)), int(next(epochs, _NEVER)))
    return found | {_TAMPING: 0}


def _names(row: NetworkVersion) -> list[str]:
    if NETWORK_VERSIONS.get(row.number) is not row:
        return [_DRAFT]
    return [row.name, *([_FOLLOWED_BY[row.name]] if row.name in _FOLLOWED_BY else [])]


def _key(name: str) -> str:
    return f"Upgrade{name}Height"


METHODS = (Method("Filecoin.StateGetNetworkParams", (), state_get_network_params),)
