"""`eth_getBlockAccessList`: block-level access lists (EIP-7928), under Ethereum's rules.

Specification of the method: Ethereum's execution APIs, `src/eth/block.yaml`.
"""

from __future__ import annotations

from typing import Any, Final

from bridge.ethereum.block import BlockAccessList
from bridge.ethereum.rlp import RlpError
from localnet.rpc.blocks_and_null_rounds import BlockRef, block, find
from localnet.rpc.errors import NO_ACCESS_LIST, NOT_SUPPORTED, RpcError
from localnet.rpc.eth.blocks import is_pending
from localnet.rpc.methods import Method
from localnet.rpc.node import NodeReader
from localnet.rpc.refused import REASONS
from store.blockstore import StoreCorrupt

_REMEDY: Final = "start the node with --hardfork amsterdam or osaka+7928"


def get_block_access_list(node: NodeReader, at: BlockRef) -> list[dict[str, Any]] | None:
    """Return the accounts and slots that a block touches, with their values after each change (EIP-7928).

    Null if the chain has no such block; error 4445 in a fork of Ethereum without access lists.
    """
    rules = node.network.rules
    if not rules.hardfork:
        raise RpcError(NOT_SUPPORTED, REASONS["eth_getBlockAccessList"])
    if rules.access_list is None:
        raise RpcError(NO_ACCESS_LIST, f"blocks of {rules.hardfork} have no access list; {_REMEDY}")
    found = node.pending_block().tipset if is_pending(node, at) else find(node.network, at)
    if found is None:
        return None
    try:
        return BlockAccessList.decode(found.access_list).json() if found.access_list else []
    except RlpError as error:
        raise StoreCorrupt(f"the stored access list of block {found.height} is damaged: {error}") from None


METHODS = (Method("eth_getBlockAccessList", (block,), get_block_access_list, reads=True),)
