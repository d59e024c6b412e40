"""The state and the first tipset of a fork of an Ethereum network.

The base state contains the built-in actors and the native accounts of a new network. Accounts with an Ethereum
address are read from the node, except those that the network funds itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import from_delegated
from bridge.filecoin.receipts import EMPTY_BLOOM
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.messages.address import Address
from hypervisor.types import ChainEpoch, Gas, TokenAmount
from localnet.ledger.blocks import NO_PRODUCER, BlockHeader, key_of_hash, put_messages, put_receipts
from localnet.ledger.records import GENESIS_PARENT, BlockSettings, Tipset
from localnet.rules.parts import NetworkRules
from localnet.state.controls import set_balance
from store.blockstore import Blockstore
from store.cid import EMPTY_ARRAY_CID, Cid
from store.roots import pin, pins

if TYPE_CHECKING:
    from localnet.fork.ethereum_fork import EthereumFork
    from localnet.fork.remote_chain import RemoteBlock

_BASE: Final = "fork base"
"""Pin name of the base state, over which earlier blocks of the forked network are read."""


def remove_accounts(machine: Hypervisor) -> None:
    """Remove the actors with an Ethereum address from a new network's state."""
    tree = machine.state_tree
    tree.flush()
    found = [actor for actor, state in tree.actors() if from_delegated(state.delegated_address) is not None]
    for actor in found:
        tree.delete_actor(actor)
    tree.flush()


def base_state(machine: Hypervisor) -> Cid:
    """Set a machine to the base state and return its root; the base is derived from the machine's state if missing."""
    known = pins(machine.base).get(_BASE)
    if known is None:
        remove_accounts(machine)
        known = machine.root
        machine.base.commit(machine.store.reachable(known), {})
        pin(machine.base, _BASE, known)
    machine.restore(Snapshot(known, {}))
    return known


def start_fork(machine: Hypervisor, fork: EthereumFork, funds: Mapping[Address, TokenAmount]) -> None:
    """Turn a new network's state into that of a fork, with these balances in attoFIL. Raises NodeError."""
    fork.base = base_state(machine)
    machine.read_from(fork.origin(machine.manifest))
    for address, amount in funds.items():
        set_balance(machine, address, amount)


def resume_fork(machine: Hypervisor, fork: EthereumFork) -> None:
    """Connect the machine of a folder's network to the accounts of its forked node."""
    fork.base = pins(machine.base)[_BASE]
    machine.read_from(fork.origin(machine.manifest))


def first_tipset(blocks: Blockstore, fork: EthereumFork, state: Cid, chain_id: int, rules: NetworkRules) -> Tipset:
    """Return the first tipset of a fork: the node's block, whose resulting state is `state`."""
    block, tipset = fork.point.block, earlier_tipset(fork, fork.point.block, chain_id, rules)
    receipts, messages, base_fee = put_receipts(blocks, []), put_messages(blocks, []), TokenAmount(block.base_fee)
    header = BlockHeader(
        NO_PRODUCER, tipset.height, (), state, receipts, messages, block.timestamp, base_fee,
        tipset.settings.encode_for_header(0),
    )  # fmt: skip
    return replace(tipset, block=header.put(blocks), receipts=receipts, state=state)


def earlier_tipset(fork: EthereumFork, block: RemoteBlock, chain_id: int, rules: NetworkRules) -> Tipset:
    """Return a block of the node as a tipset over the base state; other accounts are read from the node."""
    from localnet.fork.ethereum_fork import blob_gas_of

    point = replace(fork.point, block=block)
    excess, blob_gas_used = blob_gas_of(fork.point.chain_id, block)
    next_excess = rules.next_excess_blob_gas(excess, blob_gas_used, block.base_fee)
    settings = BlockSettings(
        chain_id, block.coinbase, point.gas_limit, randomness=block.randomness, excess_blob_gas=excess
    )
    return Tipset(
        height=ChainEpoch(block.number),
        key=key_of_hash(block.hash),
        block=EMPTY_ARRAY_CID,
        parent=GENESIS_PARENT,
        timestamp=block.timestamp,
        base_fee=TokenAmount(block.base_fee),
        next_base_fee=point.next_base_fee,
        before=fork.base,
        state=fork.base,
        receipts=EMPTY_ARRAY_CID,
        gas_used=Gas(block.gas_used),
        bloom=EMPTY_BLOOM,
        transactions=(),
        settings=settings,
        next_settings=BlockSettings(chain_id=chain_id, gas_limit=point.gas_limit, excess_blob_gas=next_excess),
        blob_gas_used=blob_gas_used,
    )
