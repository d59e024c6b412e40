"""Methods that edit the state and impersonate accounts, also under the names of other nodes."""

from __future__ import annotations

import gzip
from typing import Any

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import ETHEREUM
from hypervisor.messages.address import Address
from localnet.rpc.dev.state import anvil_state
from localnet.rpc.lotus_values import filecoin_address
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import address, as_data, boolean, data, number, word


def actor_address(value: Any) -> EthAddress | Address:
    """Read an Ethereum or Filecoin address, in the form given."""
    if isinstance(value, str) and not value.startswith("0x"):
        return filecoin_address(value)
    read: EthAddress = address(value)
    return read


def set_balance(node: Node, owner: EthAddress | Address, amount: int) -> None:
    """Set the balance of an Ethereum or Filecoin address in attoFIL."""
    node.network.set_balance(owner, amount)


def add_balance(node: Node, owner: EthAddress | Address, amount: int) -> None:
    """Add attoFIL to the balance of an address."""
    node.network.set_balance(owner, node.network.balance(owner) + amount)


def set_nonce(node: Node, owner: EthAddress, nonce: int) -> None:
    """Set the nonce of an account or a contract."""
    node.network.set_nonce(owner, nonce)


def set_code(node: Node, owner: EthAddress, code: bytes) -> None:
    """Set the runtime code of an Ethereum address, without running a constructor; all else is unchanged."""
    node.network.set_code(owner, code)


def set_storage_at(node: Node, owner: EthAddress, slot: int, value: int) -> bool:
    """Set a storage slot of a contract; under Ethereum's rules, of any address."""
    node.network.set_storage(owner, {slot: value})
    return True


def impersonate_account(node: Node, owner: EthAddress) -> None:
    """Allow eth_sendTransaction from an address without a key: an account, a contract, or a masked ID."""
    node.impersonated.add(owner)


def stop_impersonating_account(node: Node, owner: EthAddress) -> None:
    """Stop impersonating an account."""
    node.impersonated.discard(owner)


def auto_impersonate_account(node: Node, on: bool) -> None:
    """Allow or forbid eth_sendTransaction from every address."""
    node.impersonates_all = on


def dump_state(node: Node) -> str:
    """Return the state for anvil_loadState: anvil's form under Ethereum's rules, else one for the same actors."""
    if node.network.rules.name != ETHEREUM:
        return as_data(node.network.dump_state())
    return as_data(gzip.compress(anvil_state(node.network), 6, mtime=0))


def load_state(node: Node, state: bytes) -> bool:
    """Load a dumped state in a new block. A state file of anvil replaces the whole chain."""
    node.network.load_state(state)
    return True


METHODS = (
    Method("anvil_dumpState", (), dump_state, aliases=("hardhat_dumpState",)),
    Method("anvil_loadState", (data,), load_state, aliases=("hardhat_loadState",)),
    Method(
        "anvil_setBalance",
        (actor_address, number),
        set_balance,
        aliases=("hardhat_setBalance", "tenderly_setBalance"),
    ),
    Method(
        "anvil_addBalance",
        (actor_address, number),
        add_balance,
        aliases=("hardhat_addBalance", "tenderly_addBalance"),
    ),
    Method("anvil_setNonce", (address, number), set_nonce, aliases=("hardhat_setNonce", "evm_setAccountNonce")),
    Method("anvil_setCode", (address, data), set_code, aliases=("hardhat_setCode",)),
    Method("anvil_setStorageAt", (address, word, word), set_storage_at, aliases=("hardhat_setStorageAt",)),
    Method("anvil_impersonateAccount", (address,), impersonate_account, aliases=("hardhat_impersonateAccount",)),
    Method(
        "anvil_stopImpersonatingAccount",
        (address,),
        stop_impersonating_account,
        aliases=("hardhat_stopImpersonatingAccount",),
    ),
    Method(
        "anvil_autoImpersonateAccount",
        (boolean,),
        auto_impersonate_account,
        aliases=("hardhat_autoImpersonateAccount",),
    ),
)
