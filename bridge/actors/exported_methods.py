"""The methods of built-in actors in Solidity interfaces.

Most are exported by their actor under the hash of their name (FRC-0042). Multisigs, payment channels and the init actor
have small numbers only. They reject calls from contracts (exit code 18) and accept calls from accounts. Some exported
methods are restricted to certain actors: the token's Mint and Destroy, and the market's SectorContentChanged. Receiver
hooks, and methods that no official actor has, are omitted. Also lists the exit codes specific to an actor. Source:
builtin-actors v18, each actor's lib.rs; a method is payable here if the actor uses the value that it receives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from bridge.actors.schemas import FIXED_NUMBERS
from bridge.filecoin.method_numbers import method_number
from hypervisor.types import MethodNumber

NONPAYABLE, PAYABLE, VIEW = "nonpayable", "payable", "view"

_METHODS: Final = {
    "init": "Exec payable",
    "account": "AuthenticateMessage view",
    "storagepower": "CreateMiner payable, NetworkRawPower view, MinerRawPower view, MinerCount view,"
    " MinerConsensusCount view, MinerPower view",
    "storageminer": "ChangeWorkerAddress, ChangePeerID, WithdrawBalance, ChangeMultiaddrs, ConfirmChangeWorkerAddress,"
    " RepayDebt payable, ChangeOwnerAddress, ChangeBeneficiary, GetBeneficiary view, GetOwner view,"
    " IsControllingAddress view, GetSectorSize view, GetAvailableBalance view, GetVestingFunds view, GetPeerID view,"
    " GetMultiaddrs view, MaxTerminationFee view, InitialPledge view, GenerateSectorLocation view,"
    " ValidateSectorStatus view, GetNominalSectorExpiration view",
    "storagemarket": "AddBalance payable, WithdrawBalance, PublishStorageDeals, GetBalance view,"
    " GetDealDataCommitment view, GetDealClient view, GetDealProvider view, GetDealLabel view, GetDealTerm view,"
    " GetDealTotalPrice view, GetDealClientCollateral view, GetDealProviderCollateral view, GetDealVerified view,"
    " GetDealActivation view, GetDealSector view, SettleDealPayments, SectorContentChanged",
    "paymentchannel": "UpdateChannelState, Settle, Collect",
    "multisig": "Propose payable, Approve payable, Cancel, AddSigner, RemoveSigner, SwapSigner,"
    " ChangeNumApprovalsThreshold, LockBalance",
    "reward": "SetWeightRecords, StepWeightRecords, RegisterStream, RemoveStream, SetDistribution, CancelPending,"
    " SetShares, ReplaceAddress, Claim",
    "verifiedregistry": "AddVerifiedClient, RemoveExpiredAllocations, GetClaims view, ExtendClaimTerms,"
    " RemoveExpiredClaims",
    "datacap": "Mint, Destroy, Name view, Symbol view, Granularity view, TotalSupply view, Balance view,"
    " Allowance view, Transfer, TransferFrom, IncreaseAllowance, DecreaseAllowance, RevokeAllowance, Burn, BurnFrom",
}

SMALL_NUMBERS_ONLY: Final = ("init", "paymentchannel", "multisig")
"""Actors without exported methods: accounts can call their methods, contracts cannot."""

INTERFACES: Final[Mapping[str, str]] = MappingProxyType({
    "init": "IInit",
    "account": "IAccount",
    "storagepower": "IPower",
    "storageminer": "IMiner",
    "storagemarket": "IMarket",
    "paymentchannel": "IPaymentChannel",
    "multisig": "IMultisig",
    "reward": "IReward",
    "verifiedregistry": "IVerifiedRegistry",
    "datacap": "IDatacap",
})  # fmt: skip
"""Solidity interface names by actor."""

EXIT_CODES: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({
    "storagemarket": {"DEAL_EXPIRED": 32, "DEAL_NOT_ACTIVATED": 33},
    "paymentchannel": {"CHANNEL_STATE_UPDATE_AFTER_SETTLED": 32},
    "storageminer": {
        "BALANCE_INVARIANTS_BROKEN": 1000, "NOTIFICATION_SEND_FAILED": 1001, "NOTIFICATION_RECEIVER_ABORTED": 1002,
        "NOTIFICATION_RESPONSE_INVALID": 1003, "NOTIFICATION_REJECTED": 1004,
    },
    "evm": {
        "CONTRACT_REVERTED": 33, "CONTRACT_INVALID_INSTRUCTION": 34, "CONTRACT_UNDEFINED_INSTRUCTION": 35,
        "CONTRACT_STACK_UNDERFLOW": 36, "CONTRACT_STACK_OVERFLOW": 37, "CONTRACT_ILLEGAL_MEMORY_ACCESS": 38,
        "CONTRACT_BAD_JUMPDEST": 39, "CONTRACT_SELFDESTRUCT_FAILED": 40,
    },
})  # fmt: skip
"""Exit codes specific to an actor, by actor and name; `hypervisor.exit_codes.ExitCode` has the common ones."""


@dataclass(frozen=True, slots=True)
class ExportedMethod:
    """A built-in actor's method in its Solidity interface: name, number and mutability."""

    name: str
    number: MethodNumber
    mutability: str


@cache
def exported_methods(actor: str) -> tuple[ExportedMethod, ...]:
    """Return the methods in an actor's interface; empty if it has none."""
    found = []
    own = {name: int(number) for number, name in (row.split() for row in FIXED_NUMBERS.get(actor, "0 -").split(", "))}
    for row in filter(None, _METHODS.get(actor, "").split(", ")):
        name, _, mutability = row.partition(" ")
        number = MethodNumber(own[name]) if actor in SMALL_NUMBERS_ONLY else method_number(name)
        found.append(ExportedMethod(name, number, mutability or NONPAYABLE))
    return tuple(found)
