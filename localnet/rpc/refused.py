"""Methods that have no meaning on Filecoin, and those of fast finality (F3), which does not run here.

Without these rows, tools would treat the node as outdated. Code: -32004 (EIP-1474), with the reason. Methods of F3
have the code and text of Lotus without F3 (api/api_errors.go, `ErrF3Disabled`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bridge.ethereum.transactions import BLOB
from localnet.rpc.errors import F3_DISABLED, NOT_SUPPORTED, RpcError
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node
from localnet.rpc.values import any_value, as_quantity

_STATE: Final = "the state is not a Merkle-Patricia trie: eth_getProof returns the IPLD blocks that prove an account"
_HEADERS: Final = (
    "a block is a tipset, which has no RLP header: eth_getBlockByNumber returns its fields, Filecoin.ChainReadObj bytes"
)
_LIMIT: Final = "the network fixes the block gas limit"
_NOBODY: Final = (
    "no account receives a block's fees; hypervisor_setProducer sets the miner that receives the block rewards"
)
_RANDOMNESS: Final = "randomness comes from the epoch's beacon entry"
_CHEAPEST: Final = "the minimum gas price is the base fee: use anvil_setNextBlockBaseFeePerGas"
_BLOBS: Final = "eth_blobBaseFee"
RAW_RECEIPTS: Final = "debug_getRawReceipts"
_SUBMISSION: Final = "blocks here have no proofs, and their tickets follow from the height: use evm_mine"
_WORK: Final = "Filecoin has no proof of work"

ACCESS_LISTS: Final = (
    "eth_getBlockAccessList", "eth_getBlockAccessListByBlockHash", "eth_getBlockAccessListByBlockNumber",
    "debug_getRawBlockAccessList", "eth_getBlockAccessListRaw",
)  # fmt: skip
"""Methods of block-level access lists, with the names of reth and anvil."""

REASONS: Final = {
    "debug_executionWitness": _STATE,
    "debug_getRawHeader": _HEADERS,
    "debug_getRawBlock": _HEADERS,
    RAW_RECEIPTS: "receipts are not encoded as RLP: Filecoin.ChainGetParentReceipts returns them",
    _BLOBS: "Filecoin has no blobs",
    "eth_getWork": _WORK,
    "eth_submitWork": _WORK,
    "eth_submitHashrate": _WORK,
    "anvil_setBlockGasLimit": _LIMIT,
    "evm_setBlockGasLimit": _LIMIT,
    "anvil_setCoinbase": _NOBODY,
    "hardhat_setCoinbase": _NOBODY,
    "anvil_setMinGasPrice": _CHEAPEST,
    "hardhat_setMinGasPrice": _CHEAPEST,
    "anvil_setNextBlockPrevRandao": _RANDOMNESS,
    "hardhat_setPrevRandao": _RANDOMNESS,
    "eth_config": "Filecoin has network versions, not Ethereum's forks: use Filecoin.StateNetworkVersion",
    "anvil_setRpcUrl": "a fork always reads from its first node: start another node with --fork-url",
    "anvil_setChainId": "the ID of a chain cannot change: --chain-id sets that of a new chain",
    **dict.fromkeys(ACCESS_LISTS, "Filecoin's blocks have no access lists"),
    "Filecoin.SyncSubmitBlock": _SUBMISSION,
}
"""Reason for each refused method."""

UNDER_ETHEREUMS_RULES: Final = frozenset({
    _BLOBS, RAW_RECEIPTS, "anvil_setBlockGasLimit", "evm_setBlockGasLimit", "anvil_setCoinbase", "hardhat_setCoinbase",
    "anvil_setMinGasPrice", "hardhat_setMinGasPrice", "anvil_setNextBlockPrevRandao", "hardhat_setPrevRandao",
    "anvil_setChainId", "eth_config", *ACCESS_LISTS,
})  # fmt: skip
"""Methods that are available under Ethereum's rules."""


F3_REASON: Final = "f3 is disabled"
F3_METHODS: Final = tuple(
    f"Filecoin.F3{name}"
    for name in (
        "GetCertificate", "GetLatestCertificate", "GetManifest", "GetF3PowerTable", "GetF3PowerTableByInstance",
        "GetOrRenewParticipationTicket", "GetPowerTableByInstance", "GetProgress", "IsRunning", "ListParticipants",
        "Participate",
    )
)  # fmt: skip
"""Refused methods of F3, in Lotus and Forest; `localnet.rpc.filecoin.network` has the other one."""


def _refusal(reason: str, code: int = NOT_SUPPORTED) -> Callable[..., None]:
    def refuse(node: Node, first: Any = None, second: Any = None, third: Any = None) -> None:
        raise RpcError(code, reason)

    refuse.__doc__ = f"Refused: {reason}."
    return refuse


def blob_base_fee(node: Node) -> str | None:
    """Return the blob base fee of the next block, under Ethereum's rules; null in forks without blobs, as in geth."""
    rules = node.network.rules
    if rules.blobs is None:
        raise RpcError(NOT_SUPPORTED, REASONS[_BLOBS])
    if BLOB not in rules.features.transaction_types:
        return None
    return as_quantity(node.network.blob_base_fee)


METHODS = (
    Method(_BLOBS, (), blob_base_fee, inline=True),
    *(
        Method(name, (optional(any_value),) * 3, _refusal(reason), inline=True)
        for name, reason in REASONS.items()
        if name not in UNDER_ETHEREUMS_RULES
    ),
    *(Method(name, (optional(any_value),) * 3, _refusal(F3_REASON, F3_DISABLED), inline=True) for name in F3_METHODS),
)
