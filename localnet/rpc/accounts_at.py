"""Methods that read several values of accounts in one request."""

from __future__ import annotations

from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.patricia import EMPTY_ROOT
from bridge.filecoin.evm_state import EMPTY_CODE_HASH
from localnet.rpc.blocks_and_null_rounds import LATEST, BlockRef, block
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.values import address, as_data, as_quantity, fields, list_of, word
from localnet.state.contract_state import code_of, nonce_of, storage_of

_MAX_SLOTS: Final = 1_024

SlotRequest = dict[str, list[int]]


def slots(value: Any) -> SlotRequest:
    """Read slots by address, at least one. The addresses keep their spelling, for the response."""
    by_owner = fields(value, "object of slots by address")
    for owner in by_owner:
        address(owner)
    wanted = {owner: list_of(word, _MAX_SLOTS)(some) for owner, some in by_owner.items()}
    if not any(wanted.values()):
        raise invalid_params("empty request")
    if sum(map(len, wanted.values())) > _MAX_SLOTS:
        raise RpcError(LIMIT_EXCEEDED, f"too many slots: a request may read at most {_MAX_SLOTS}")
    return wanted


def storage_values(node: NodeReader, wanted: SlotRequest, at: BlockRef = LATEST) -> dict[str, list[str]]:
    """Return the 32 bytes of storage slots of several contracts."""
    machine = node.machine_at(at)
    return {
        owner: [as_data(storage_of(machine, to_filecoin(address(owner)), slot)) for slot in some]
        for owner, some in wanted.items()
    }


def account_info(node: NodeReader, owner: EthAddress, at: BlockRef = LATEST) -> dict[str, str]:
    """Return balance, nonce and code of an address, as in anvil."""
    machine, filecoin = node.machine_at(at), to_filecoin(owner)
    return {
        "balance": as_quantity(machine.balance(filecoin)),
        "nonce": as_quantity(nonce_of(machine, filecoin)),
        "code": as_data(code_of(machine, filecoin)),
    }


def account(node: NodeReader, owner: EthAddress, at: BlockRef = LATEST) -> dict[str, str]:
    """Return balance, nonce, code hash and storage root of an address; the storage root is that of a KAMT."""
    from localnet.calls.proofs import prove_account  # no other method that clients call first needs it

    found = prove_account(node.machine_at(at), to_filecoin(owner), ())
    return {
        "balance": as_quantity(found.balance),
        "nonce": as_quantity(found.nonce),
        "codeHash": as_data(found.code_hash if any(found.code_hash) else EMPTY_CODE_HASH),
        "storageRoot": as_data(found.storage if any(found.storage) else EMPTY_ROOT),
    }


METHODS = (
    Method("eth_getAccount", (address, optional(block)), account, reads=True),
    Method("eth_getStorageValues", (slots, optional(block)), storage_values, reads=True),
    Method("eth_getAccountInfo", (address, optional(block)), account_info, reads=True, short=True),
)
