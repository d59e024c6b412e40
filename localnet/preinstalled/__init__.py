"""Contracts that Ethereum tools expect at fixed addresses on every chain.

- Multicall3 (mds1/multicall3, MIT licence), whose runtime code is in a file of this folder.
- The deterministic deployment proxy, with which forge and others create contracts
  (Arachnid/deterministic-deployment-proxy).

Both are identical to the deployed ones, byte for byte. A new local network contains them from genesis on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.machine.machine import Hypervisor
from localnet.state.controls import set_code

MULTICALL3: Final = EthAddress(bytes.fromhex("ca11bde05977b3631167028862be2a173976ca11"))
CREATE2_DEPLOYER: Final = EthAddress(bytes.fromhex("4e59b44847b379578588920ca78fbf26c0b4956c"))

_DEPLOYER_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b"
    "8082525050506014600cf3"
)


def preinstalled() -> Iterator[tuple[EthAddress, bytes]]:
    """Return each contract's address and runtime code."""
    yield MULTICALL3, bytes.fromhex(Path(__file__).with_name("multicall3.hex").read_text(encoding="ascii"))
    yield CREATE2_DEPLOYER, _DEPLOYER_CODE


def preinstall(machine: Hypervisor) -> None:
    """Add the contracts to a new state."""
    for address, code in preinstalled():
        set_code(machine, to_filecoin(address), code)
