"""What Ethereum's rules know of a block beyond the machine's epoch: the `block` of a machine context under these rules.

Number, time, base fee and chain id are those of the context; its externs give the randomness (the beacon's digest) and
the hashes of earlier blocks (the digests of tipset CIDs).
"""

from dataclasses import dataclass
from typing import Final

from bridge.addresses import ZERO_ADDRESS, EthAddress

ETHEREUM: Final = "ethereum"
"""The name of the set of rules."""

BLOCK_HASHES: Final = EthAddress(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
"""The contract that keeps the hashes of earlier blocks (EIP-2935)."""

BLOCK_HASHES_KEPT: Final = 8191
"""How many of them it keeps."""

BLOCK_HASHES_CODE: Final = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006"
    "545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)
"""That contract's code."""


MAX_CODE_SIZE: Final = 24_576


@dataclass(frozen=True, slots=True)
class EthereumBlock:
    """A block's own part. `fork` is one of the machine's (`bridge.ethereum_execution.ForkTable`), empty: the newest.
    Gas in Ethereum's gas; `filecoin_addresses`: whether masked IDs and Filecoin's precompiles
    exist beside Ethereum's addresses (Ethereum's own tests leave them empty). `code_limit` is the longest code that a
    contract may create another with, in bytes (EIP-170), init code being twice as long (EIP-3860); None: no limit.
    `exempt` is a contract whose own code may have any size: a test contract, which never gets to a network.
    `randomness` is what PREVRANDAO gives; None: what the externs draw.
    """

    fork: str = ""
    coinbase: EthAddress = ZERO_ADDRESS
    gas_limit: int = 60_000_000
    excess_blob_gas: int = 0
    filecoin_addresses: bool = True
    code_limit: int | None = MAX_CODE_SIZE
    exempt: EthAddress | None = None
    randomness: bytes | None = None


def next_base_fee(fee: int, gas_used: int, gas_limit: int) -> int:
    """A block's base fee from its parent's figures (EIP-1559)."""
    target = gas_limit // 2
    if gas_used == target:
        return fee
    if gas_used > target:
        return fee + max(fee * (gas_used - target) // target // 8, 1)
    return fee - fee * (target - gas_used) // target // 8
