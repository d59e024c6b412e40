"""Block data of Ethereum's rules beyond the machine's epoch: the `block` of a machine context.

Number, time, base fee and chain id are those of the context; its externs provide the randomness (the beacon's digest)
and the hashes of earlier blocks (the digests of tipset CIDs).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from hypervisor.types import SYSTEM_ACTOR, ActorID

ETHEREUM: Final = "ethereum"
"""Name of the set of rules."""

BLOCK_HASHES: Final = EthAddress(bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935"))
"""Address of the contract with the hashes of earlier blocks (EIP-2935)."""

SYSTEM_ADDRESS: Final = EthAddress(bytes.fromhex("fffffffffffffffffffffffffffffffffffffffe"))
"""Caller of system contracts (EIP-4788), and emitter of the logs of transfers (EIP-7708)."""

TRANSFER_EVENT: Final = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""First topic of the log of a transfer: the hash of `Transfer(address,address,uint256)`."""

BLOCK_HASH_COUNT: Final = 8191
"""Number of block hashes that it stores."""

BLOCK_HASHES_CODE: Final = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006"
    "545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)
"""Code of that contract."""


MAX_CODE_SIZE: Final = 24_576


def emitter_address(emitter: ActorID, lookup: Callable[[ActorID], EthAddress]) -> EthAddress:
    """Return the Ethereum address of a log's emitter; `lookup` returns the address of any other actor.

    The machine records the logs of transfers (EIP-7708) as events of the system actor. Their address is
    `SYSTEM_ADDRESS`, not the masked ID of that actor.
    """
    return SYSTEM_ADDRESS if emitter == SYSTEM_ACTOR else lookup(emitter)


@dataclass(frozen=True, slots=True)
class EthereumBlock:
    """Block data of Ethereum's rules.

    `fork` is a name in the machine's table (`bridge.ethereum.execution.ForkTable`), empty for the newest. Gas is
    Ethereum gas. `filecoin_addresses`: masked IDs and Filecoin's precompiles exist in addition to Ethereum's addresses
    (false for Ethereum's tests). `code_limit` is the maximum code size in bytes of created contracts (EIP-170), with
    init code up to twice as long (EIP-3860); None: no limit. `exempt` is a contract without code size limit: a test
    contract. `randomness` is the value of PREVRANDAO; None: from the externs. `blob_base_fee` (attoFIL per blob gas)
    overrides the fee that follows from the excess; None: no override. `slot_number` is the beacon chain's (EIP-7843).
    """

    fork: str = ""
    coinbase: EthAddress = ZERO_ADDRESS
    gas_limit: int = 60_000_000
    excess_blob_gas: int = 0
    filecoin_addresses: bool = True
    code_limit: int | None = MAX_CODE_SIZE
    exempt: EthAddress | None = None
    randomness: bytes | None = None
    blob_base_fee: int | None = None
    slot_number: int = 0


def next_base_fee(fee: int, gas_used: int, gas_limit: int) -> int:
    """Return a block's base fee from its parent's values (EIP-1559)."""
    target = gas_limit // 2
    if gas_used == target:
        return fee
    if gas_used > target:
        return fee + max(fee * (gas_used - target) // target // 8, 1)
    return fee - fee * (target - gas_used) // target // 8
