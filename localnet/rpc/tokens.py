"""Setting of ERC-20 balances and allowances, in any storage layout.

The slot is found by trial: of the slots that the contract reads for its result, the one that changes the result to
the wanted value. Sources: EIP-20; anvil for names and parameters.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress
from localnet.calls import simulate
from localnet.calls.overrides import AccountOverride, Overrides
from localnet.errors import CallFailed
from localnet.rpc.errors import SERVER_ERROR, RpcError
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.values import address, as_data, number
from localnet.rules.call_request import CallRequest
from localnet.traces.ethereum_traces import access_list

MAX_SLOTS: Final = 100
"""Maximum number of slots to try, among those that the call reads."""

_BALANCE_OF: Final = bytes.fromhex("70a08231")
_ALLOWANCE: Final = bytes.fromhex("dd62ed3e")
_WORD: Final = 32


def deal_erc20(node: Node, owner: EthAddress, token: EthAddress, amount: int) -> None:
    """Set the ERC-20 balance of an address, in the token's smallest unit; the total supply is unchanged."""
    _set(node, token, _BALANCE_OF + _pad_addresses(owner), amount, "balance")


def set_erc20_allowance(node: Node, owner: EthAddress, spender: EthAddress, token: EthAddress, amount: int) -> None:
    """Set the ERC-20 allowance of a spender for an owner's tokens."""
    _set(node, token, _ALLOWANCE + _pad_addresses(owner, spender), amount, "allowance")


def _set(node: Node, token: EthAddress, calldata: bytes, amount: int, what: str) -> None:
    """Set the slot whose value the contract returns. Raises RpcError if there is none."""
    machine, request = node.network.machine, CallRequest(token, calldata)
    wanted = amount.to_bytes(_WORD, "big")
    slots = [(owner, slot) for owner, slots in access_list(machine, request) for slot in slots]
    for owner, slot in slots[:MAX_SLOTS]:
        overrides = Overrides({owner: AccountOverride(state_diff={slot: amount})})
        try:
            if simulate.call(machine, request, overrides) == wanted:
                node.network.set_storage(owner, {slot: amount})
                return
        except CallFailed:
            pass  # the slot has another meaning
    raise RpcError(SERVER_ERROR, f"the {what} of {as_data(token)} cannot be set: no storage slot contains it")


def _pad_addresses(*addresses: EthAddress) -> bytes:
    return b"".join(each.rjust(_WORD, b"\0") for each in addresses)


METHODS = (
    Method(
        "anvil_dealERC20",
        (address, address, number),
        deal_erc20,
        aliases=("hardhat_dealERC20", "anvil_setERC20Balance"),
    ),
    Method("anvil_setERC20Allowance", (address, address, address, number), set_erc20_allowance),
)
