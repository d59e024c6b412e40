"""Methods that read the state: balances, code, storage, calls, estimates and proofs.

The proofs of `eth_getProof` are IPLD blocks, because the state is not a Merkle-Patricia trie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress, to_filecoin
from bridge.ethereum.patricia import EMPTY_ROOT
from bridge.filecoin.evm_state import EMPTY_CODE_HASH
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import Gas
from localnet.calls import simulate
from localnet.calls.overrides import NONE, Overrides, overridden
from localnet.chain.block_production import has_pending, next_block
from localnet.rpc.blocks_and_null_rounds import LATEST, PENDING, BlockRef, block, state_tipset
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError, invalid_params
from localnet.rpc.lotus_values import cid_json
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.override_values import NO_ACCOUNTS, Accounts, accounts, block_override
from localnet.rpc.requests import TransactionRequest, transaction
from localnet.rpc.shapes import access_json
from localnet.rpc.values import address, as_data, as_quantity, fields, list_of, storage_key
from localnet.rules.facts import SAME_BLOCK, BlockOverride, CallRequest
from localnet.rules.parts import vm_error
from localnet.state.controls import code_of, nonce_of, storage_of

if TYPE_CHECKING:
    from localnet.calls.proofs import Proof


def get_balance(node: NodeReader, owner: EthAddress, at: BlockRef = LATEST) -> str:
    """Return the balance of an address in attoFIL; masked IDs have one too."""
    actor = node.machine_at(at).actor(to_filecoin(owner))
    return as_quantity(0 if actor is None else actor.balance)


def get_transaction_count(node: NodeReader, owner: EthAddress, at: BlockRef = LATEST) -> str:
    """Return the next nonce of an account or a contract; the tag `pending` includes pending transactions."""
    address = to_filecoin(owner)
    if at.tag == PENDING:
        return as_quantity(node.network.pending_nonce(address))
    return as_quantity(nonce_of(node.machine_at(at), address))


def authorization_nonce(node: NodeReader, owner: EthAddress, at: BlockRef = LATEST) -> str | None:
    """Return the nonce for an account's next authorization (type 4); null if transactions carry none.

    An account that sends the transaction itself must add one if this is its own nonce.
    """
    found = node.network.rules.messages.authorization_nonce(node.machine_at(at), owner)
    return None if found is None else as_quantity(found)


def get_code(node: NodeReader, owner: EthAddress, at: BlockRef = LATEST) -> str:
    """Return a contract's runtime code; empty for accounts and native actors."""
    return as_data(code_of(node.machine_at(at), to_filecoin(owner)))


def get_storage_at(node: NodeReader, owner: EthAddress, slot: int, at: BlockRef = LATEST) -> str:
    """Return the 32 bytes of a contract's storage slot."""
    return as_data(storage_of(node.machine_at(at), to_filecoin(owner), slot))


def call(
    node: NodeReader,
    request: TransactionRequest,
    at: BlockRef = LATEST,
    state_overrides: Accounts = NO_ACCOUNTS,
    block_overrides: BlockOverride = SAME_BLOCK,
) -> str:
    """Return the returned data of a call. Filecoin's rules ignore gas and prices in the request, as Lotus does."""
    overrides = Overrides(state_overrides, block_overrides)
    machine, called = node.machine_at(at), request.call(ZERO_ADDRESS, node.network)
    return as_data(node.run_call(machine, called, overrides, partial(simulate.call, machine, called, overrides)))


def create_access_list(
    node: NodeReader, request: TransactionRequest, at: BlockRef = LATEST, state_overrides: Accounts = NO_ACCOUNTS
) -> dict[str, Any]:
    """Return the accounts and slots that a call touches, and its gas with such a list, which Filecoin does not have."""
    from localnet.traces.ethereum_traces import access_list

    machine, network = node.machine_at(at), node.network
    if network.rules.hardfork and request.has_fees:
        request = request.with_fees(network, machine.context.base_fee)
    called = request.call(ZERO_ADDRESS, network)
    with overridden(machine, Overrides(state_overrides)):
        touched = access_list(machine, called)
        listed = called._replace(access_list=tuple((owner, tuple(slots)) for owner, slots in touched))
        result, gas_used = simulate.trial_result(machine, listed)
    answer: dict[str, Any] = {"accessList": access_json(touched), "gasUsed": as_quantity(gas_used)}
    if result.exit_code:
        answer["error"] = vm_error(network.rules, result.exit_code, result.return_data, result.message)
    return answer


def estimate_gas(
    node: NodeReader,
    request: TransactionRequest,
    at: BlockRef | None = None,
    state_overrides: Accounts = NO_ACCOUNTS,
    block_overrides: BlockOverride = SAME_BLOCK,
) -> str:
    """Return a sufficient gas limit: a quarter above the gas used, or the minimum under Ethereum's rules.

    Without a block it is that of the next block under Ethereum's rules, and of the head under Filecoin's.
    """
    called = request.call(ZERO_ADDRESS, node.network)
    network, sender = node.network, to_filecoin(called.sender)
    overrides = Overrides(state_overrides, block_overrides)
    if has_pending(network) and (at is None or at.tag == PENDING):
        return as_quantity(next_block_estimate(node, called, simulate.estimate, overrides))
    at = at or LATEST
    if has_pending(network) or state_tipset(network, at) not in (network.executed_head, network.head):
        return as_quantity(_estimate(node, node.machine_at(at), called, simulate.estimate, overrides))
    waiting = network.mempool.ready_of(sender, nonce_of(network.machine, sender))
    node.require_small_read(len(waiting), whole=True)
    after_waiting = partial(simulate.estimate, pending=waiting)
    return as_quantity(_estimate(node, network.machine, called, after_waiting, overrides))


def next_block_estimate(
    node: NodeReader, request: CallRequest, estimate: Callable[..., Gas], overrides: Overrides = NONE
) -> Gas:
    """Return a gas limit for the next block, if the rules have a pending one: after the pool, at its number and time.

    `estimate` takes a machine, the request and overrides.
    """
    network = node.network
    if has_pending(network) and not network.mempool.is_empty():
        return _estimate(node, node.pending_block().machine, request, estimate, overrides)
    block = next_block(network, node.next_timestamp())

    def at_next_block(machine: Hypervisor, request: CallRequest, overrides: Overrides) -> Gas:
        return estimate(machine, request, overrides=replace(overrides, block=overrides.block.over(block)))

    return _estimate(node, network.machine, request, at_next_block, overrides)


def _estimate(
    node: NodeReader, machine: Hypervisor, request: CallRequest, estimate: Callable[..., Gas], overrides: Overrides
) -> Gas:
    run = partial(estimate, machine, request, overrides=overrides)
    if overrides.is_empty and machine is node.network.machine:
        return node.run_estimate(request, run)
    return node.run_call(machine, request, overrides, run)


MAX_SLOTS: Final = 1_024
"""Limit of geth."""

SlotRequest = dict[str, list[int]]


def slots(value: Any) -> SlotRequest:
    """Read slots by address, at least one. The addresses keep their spelling, for the response."""
    by_owner = fields(value, "object of slots by address")
    for owner in by_owner:
        address(owner)
    wanted = {owner: list_of(storage_key, MAX_SLOTS)(some) for owner, some in by_owner.items()}
    if not any(wanted.values()):
        raise invalid_params("empty request")
    if sum(map(len, wanted.values())) > MAX_SLOTS:
        raise RpcError(LIMIT_EXCEEDED, f"too many slots: a request may read at most {MAX_SLOTS}")
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


def get_proof(node: NodeReader, owner: EthAddress, slots: Sequence[int] = (), at: BlockRef = LATEST) -> dict[str, Any]:
    """Return the blocks that prove an account and slots of its storage below `stateRoot`, each with its path.

    They are DAG-CBOR blocks of the state, and no nodes of a trie: `store.trees.paths.verify` checks them.
    """
    from localnet.calls.proofs import prove_account

    found = prove_account(node.machine_at(at), to_filecoin(owner), slots)
    return {
        "address": as_data(owner),
        "balance": as_quantity(found.balance),
        "nonce": as_quantity(found.nonce),
        "codeHash": as_data(found.code_hash),
        "storageHash": as_data(found.storage),
        "accountProof": _blocks(found.proof),
        "storageProof": [
            {
                "key": as_data(slot.slot.to_bytes(32, "big")),
                "value": as_quantity(int.from_bytes(slot.value, "big")),
                "proof": _blocks(slot.proof),
                "path": str(slot.proof.path),
            }
            for slot in found.slots
        ],
        "stateRoot": cid_json(found.root),
        "path": str(found.proof.path),
    }


def _blocks(proof: Proof) -> list[str]:
    return [as_data(data) for data in proof.blocks]


METHODS = (
    Method("eth_getBalance", (address, optional(block)), get_balance, reads=True, short=True),
    Method("eth_getTransactionCount", (address, optional(block)), get_transaction_count, reads=True, short=True),
    Method("hypervisor_authorizationNonce", (address, optional(block)), authorization_nonce, reads=True),
    Method("eth_getCode", (address, optional(block)), get_code, reads=True, short=True),
    Method("eth_getStorageAt", (address, storage_key, optional(block)), get_storage_at, reads=True, short=True),
    Method(
        "eth_call",
        (transaction, optional(block), optional(accounts), optional(block_override)),
        call,
        reads=True,
        short_alone=True,
    ),
    Method("eth_createAccessList", (transaction, optional(block), optional(accounts)), create_access_list, reads=True),
    Method(
        "eth_estimateGas",
        (transaction, optional(block), optional(accounts), optional(block_override)),
        estimate_gas,
        reads=True,
        short_alone=True,
    ),
    Method("eth_getAccount", (address, optional(block)), account, reads=True),
    Method("eth_getStorageValues", (slots, optional(block)), storage_values, reads=True),
    Method("eth_getAccountInfo", (address, optional(block)), account_info, reads=True, short=True),
    Method(
        "eth_getProof", (address, optional(list_of(storage_key, MAX_SLOTS)), optional(block)), get_proof, reads=True
    ),
)
