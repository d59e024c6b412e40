"""The context of all messages of an epoch, and the context of one invocation."""

from dataclasses import dataclass
from typing import Final

from hypervisor.address import Address
from hypervisor.network_versions import LATEST, NetworkVersion
from hypervisor.precompiles import PrecompileTable
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount

DEVNET_CHAIN_ID = 31_415_926
FILECOIN: Final = "filecoin"
"""Name of the machine's default set of rules."""


@dataclass(frozen=True, slots=True)
class MachineContext:
    """Context of an epoch: timestamp in Unix seconds, amounts in attoFIL. Source: ref-fvm machine::MachineContext."""

    network: NetworkVersion = LATEST
    epoch: ChainEpoch = ChainEpoch(0)
    timestamp: int = 0
    base_fee: TokenAmount = TokenAmount(0)
    chain_id: int = DEVNET_CHAIN_ID
    circulating_supply: TokenAmount = TokenAmount(0)
    rules: str = FILECOIN
    """Name of the set of rules; see `hypervisor.rules`."""
    block: object | None = None
    """Data that a set of rules or a tool adds to the epoch; opaque to the machine."""
    precompiles: PrecompileTable | None = None
    """User-defined precompiles in addition to those of the rules (`hypervisor.precompile_registration`)."""


@dataclass(frozen=True, slots=True)
class InvocationContext:
    """Parameters of one invocation. `origin_address` is the sender as written in the message."""

    origin: ActorID
    origin_address: Address
    nonce: int
    caller: ActorID
    receiver: ActorID
    method: MethodNumber
    value: TokenAmount
    gas_premium: TokenAmount
    read_only: bool
