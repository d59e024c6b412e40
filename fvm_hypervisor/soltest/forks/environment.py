"""Conversion of a fork's block to the machine's context."""

from __future__ import annotations

from dataclasses import replace

from bridge.ethereum.block import EthereumBlock
from hypervisor.context import MachineContext
from hypervisor.types import ChainEpoch, TokenAmount
from localnet.fork.ethereum_fork import blob_gas_of
from localnet.fork.remote_chain import RemoteBlock


def block_context(context: MachineContext, block: RemoteBlock, chain_id: int) -> MachineContext:
    """Return the context with the number, time, fee, coinbase and chain of a block; the rules stay, as in forge."""
    own = context.block
    if isinstance(own, EthereumBlock):
        excess, _ = blob_gas_of(chain_id, block)
        own = replace(own, coinbase=block.coinbase, gas_limit=block.gas_limit, excess_blob_gas=excess)
    return replace(
        context,
        epoch=ChainEpoch(block.number),
        timestamp=block.timestamp,
        base_fee=TokenAmount(block.base_fee),
        chain_id=chain_id,
        block=own,
    )
