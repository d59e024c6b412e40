"""What a Filecoin network is set up with, as lotus tells it: its name, its least power, and when it was upgraded.

Shape and names: lotus api/types.go, `NetworkParams`; the height of version 29 is there since its release for it.
"""

from __future__ import annotations

from typing import Any, Final

from hypervisor.network_versions import NETWORK_VERSIONS
from localnet.chain.upgrades import Upgrades
from localnet.rpc.filecoin_node import BLOCK_DELAY
from localnet.rpc.methods import Method
from localnet.rpc.node import Node

_BEFORE: Final = (
    "Smoke", "Breeze", "Ignition", "Liftoff", "Assembly", "Refuel", "Tape", "Kumquat", "Calico", "Persian", "Orange",
    "Claus", "Trust", "Norwegian", "Turbo", "Hyperdrive", "Chocolate", "OhSnap", "Skyr", "Shark",
)  # fmt: skip
"""Upgrades before the first version of this machine."""
_BESIDE: Final = {"Dragon": "Phoenix"}
"""Upgrades that changed the beacon of a network alone, behind those of the version before them."""
_TAMPING: Final = "BreezeGasTampingDuration"
_NEVER: Final = 9_999_999_999
"""The height of an upgrade that is not planned."""
_LEAST_POWER: Final = {"mainnet": 10 << 40, "calibrationnet": 32 << 30}
_DEVELOPMENT_POWER: Final = 2048
"""Bytes from which a miner counts for consensus, by the network's name, and on development networks."""
_CHALLENGE_DELAY: Final = dict.fromkeys(("mainnet", "calibrationnet"), 150)
_DEVELOPMENT_DELAY: Final = 10
"""Epochs between promise and proof of a sector."""


def state_get_network_params(node: Node) -> dict[str, Any]:
    """Name, chain id, seconds between epochs, least power, and at which epoch each upgrade came or will come.

    Upgrades from before the chain's beginning have negative heights, as on lotus' development networks; one that is not
    planned has 9,999,999,999. An upgrade is the last thing in its epoch.
    """
    chain = node.network.chain
    record, first = chain.record, chain.index.tipset(chain.index.first)
    return {
        "NetworkName": record.name,
        "BlockDelaySecs": BLOCK_DELAY,
        "ConsensusMinerMinPower": str(_LEAST_POWER.get(record.name, _DEVELOPMENT_POWER)),
        "PreCommitChallengeDelay": _CHALLENGE_DELAY.get(record.name, _DEVELOPMENT_DELAY),
        "ForkUpgradeParams": heights(record.upgrades),
        "Eip155ChainID": node.network.chain_id,
        "GenesisTimestamp": first.timestamp,
    }


def heights(upgrades: Upgrades) -> dict[str, int]:
    """The epoch of each upgrade, by lotus' name for it."""
    past = [*_BEFORE]
    for row in NETWORK_VERSIONS.values():
        if row.number <= upgrades.first:
            past += [row.name, *([_BESIDE[row.name]] if row.name in _BESIDE else [])]
    found = {_key(name): -place for place, name in enumerate(past, 1)}
    for row in NETWORK_VERSIONS.values():
        if row.number > upgrades.first:
            epoch = next((each.epoch for each in upgrades.planned if each.version >= row.number), _NEVER)
            found |= {_key(name): int(epoch) for name in (row.name, _BESIDE.get(row.name)) if name is not None}
    return found | {_TAMPING: 0}


def _key(name: str) -> str:
    return f"Upgrade{name}Height"


METHODS = (Method("Filecoin.StateGetNetworkParams", (), state_get_network_params),)
