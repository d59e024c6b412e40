"""Fork of Ethereum in use: eth_config. Names and shape: EIP-7910; fork id: EIP-2124, EIP-6122."""

from __future__ import annotations

import zlib
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import BLOCK_HASHES
from localnet.rpc.errors import NOT_SUPPORTED, RpcError
from localnet.rpc.methods import Method
from localnet.rpc.node import Node
from localnet.rpc.refused import REASONS
from localnet.rpc.values import as_data, as_quantity

_NAMES: Final = (
    "ECREC", "SHA256", "RIPEMD160", "ID", "MODEXP", "BN254_ADD", "BN254_MUL", "BN254_PAIRING", "BLAKE2F",
    "KZG_POINT_EVALUATION", "BLS12_G1ADD", "BLS12_G1MSM", "BLS12_G2ADD", "BLS12_G2MSM", "BLS12_PAIRING_CHECK",
    "BLS12_MAP_FP_TO_G1", "BLS12_MAP_FP2_TO_G2",
)  # fmt: skip
"""Names of the precompiles from 0x01 on."""

PRECOMPILES: Final = {
    EthAddress(number.to_bytes(20, "big")): name for number, name in [*enumerate(_NAMES, 1), (0x100, "P256VERIFY")]
}


def config(node: Node) -> dict[str, Any]:
    """Return the fork, active from the first block on, with its precompiles and system contracts.

    A fork that may still change has the field `draft`, with the date of the specification that it follows.
    """
    network = node.network
    facts = network.rules.settings.fork_facts(network.machine)
    if facts is None:
        raise RpcError(NOT_SUPPORTED, REASONS["eth_config"])
    genesis = network.chain.index.tipset(network.chain.index.first)
    table = network.machine.context.precompiles
    names = PRECOMPILES | {EthAddress(at): row.name for at, row in ({} if table is None else table.by_address).items()}
    current = {
        "activationTime": 0,
        "blobSchedule": {
            "baseFeeUpdateFraction": facts.blob_update_fraction,
            "max": facts.blob_maximum,
            "target": facts.blob_target,
        }
        if facts.blob_maximum
        else None,
        "chainId": as_quantity(network.chain_id),
        "forkId": as_data(zlib.crc32(genesis.hash).to_bytes(4, "big")),
        "precompiles": {names[at]: as_data(at) for at in sorted(facts.precompiles)},
        "systemContracts": {"HISTORY_STORAGE_ADDRESS": as_data(BLOCK_HASHES)} if facts.keeps_block_hashes else {},
    }
    if facts.draft:
        current["draft"] = facts.draft
    return {"current": current, "next": None, "last": None}


METHODS = (Method("eth_config", (), config),)
