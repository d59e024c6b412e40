"""What holds for every message of one epoch, and what holds for one invocation."""

from dataclasses import dataclass

from hypervisor.address import Address
from hypervisor.network_versions import LATEST, NetworkVersion
from hypervisor.rules import FILECOIN
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount

DEVNET_CHAIN_ID = 31_415_926


@dataclass(frozen=True, slots=True)
class CodeLimit:
    """How long contracts' code may be where a tool says otherwise than the network version: bytes, None as there.

    `exempt` is a contract of any size: a test contract, which never gets to a network.
    """

    longest: int | None = None
    exempt: ActorID | None = None


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
    """What a set of rules other than Filecoin's adds to the epoch; the machine hands it on and does not look inside."""
    code_limit: CodeLimit = CodeLimit()
    """Under Filecoin's rules, by this project's own EVM; an official EVM actor knows its limit alone."""


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
