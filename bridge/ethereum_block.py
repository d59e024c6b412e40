"""What Ethereum's rules know of a block beyond the machine's epoch: the `block` of a machine context under these rules.

Number, time, base fee and chain id are those of the context; its externs give the randomness (the beacon's digest) and
the hashes of earlier blocks (the digests of tipset CIDs).
"""

from dataclasses import dataclass
from typing import Final

from bridge.addresses import ZERO_ADDRESS, EthAddress

DEFAULT_FORK: Final = "Osaka"


@dataclass(frozen=True, slots=True)
class EthereumBlock:
    """A block's own part. Gas in Ethereum's gas; `filecoin_addresses`: whether masked IDs and Filecoin's precompiles
    exist beside Ethereum's addresses (Ethereum's own tests leave them empty).
    """

    fork: str = DEFAULT_FORK
    coinbase: EthAddress = ZERO_ADDRESS
    gas_limit: int = 60_000_000
    excess_blob_gas: int = 0
    filecoin_addresses: bool = True
