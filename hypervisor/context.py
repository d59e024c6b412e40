"""What holds for every message of one epoch, and what holds for one invocation."""

from dataclasses import dataclass
from typing import Final

from hypervisor.address import Address
from hypervisor.network_versions import LATEST, NetworkVersion
from hypervisor.precompiles import PrecompileTable
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount

DEVNET_CHAIN_ID = 31_415_926
FILECOIN: Final = "filecoin"
"""The name of the machine's own set of rules."""


@dataclass(frozen=True, slots=True)
class MachineContext:
    """The epoch's context. Timestamp in Unix seconds, money in attoFIL. Source: ref-fvm machine::MachineContext."""

    network: NetworkVersion = LATEST
    epoch: ChainEpoch = ChainEpoch(0)
    timestamp: int = 0
    base_fee: TokenAmount = TokenAmount(0)
    chain_id: int = DEVNET_CHAIN_ID
    circulating_supply: TokenAmount = TokenAmount(0)
    rules: str = FILECOIN
    """The name of the set of rules; see `hypervisor.rules`."""
    block: object | None = None
    """What a set of rules other than Filecoin's adds to the epoch, or a tool; the machine does not look inside."""
    precompiles: PrecompileTable | None = None
    """Users' precompiles beside those of the rules (`hypervisor.precompile_registration`)."""


@dataclass(frozen=True, slots=True)
class InvocationContext:
    """One invocation: who calls whom, with what. `origin_address` is the sender as the message wrote it."""

    origin: ActorID
    origin_address: Address
    nonce: int
    caller: ActorID
    receiver: ActorID
    method: MethodNumber
    value: TokenAmount
    gas_premium: TokenAmount
    read_only: bool
