"""The built-in actors' schemas, parsed once, and their methods by number.

A method's parameters and answer are the types `<Method>Params` and `<Method>Return` of its actor's schema
(`fvm_hypervisor.builtin_actors.schemas`). Its number is the name's hash (FRC-42); methods that actors keep among
themselves have the numbers
below. How a value is written for people is others' work: here is only what its byte strings mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from bridge.method_numbers import method_number
from fvm_hypervisor.builtin_actors.schemas import NAMES, schema_text
from hypervisor.address import Address
from hypervisor.bigint import decode_bigint
from hypervisor.errors import HypervisorError
from hypervisor.types import METHOD_CONSTRUCTOR, MethodNumber
from store.schema import Schema
from store.schema.types import List, Map, Struct, Term

ANY: Final = "Any"
"""The type of what no schema speaks of."""

AMOUNTS: Final = ("BigInt", "TokenAmount", "DataCap")
"""Numbers of any size, which CBOR has as byte strings."""

UNSIGNED: Final[Mapping[str, int]] = MappingProxyType({
    "ActorID": 64, "SectorNumber": 64, "DealID": 64, "AllocationID": 64, "MethodNum": 64, "PaddedPieceSize": 64,
    "DeadlineIndex": 64, "PartitionIndex": 64, "StreamID": 64, "Fraction": 64, "ReplaceOutcome": 64, "ExitCode": 32,
    "OperationNumber": 8,
})  # fmt: skip
SIGNED: Final[Mapping[str, int]] = MappingProxyType({"ChainEpoch": 64, "TxnID": 64, "RegisteredProof": 64, "Slope": 64})
"""The bits of shared numbers in the official actors, which refuse parameters beyond them; other `Int`s are CBOR's."""

OWN_NUMBERS: Final = {
    "account": "2 PubkeyAddress",
    "cron": "2 EpochTick",
    "eam": "2 Create, 3 Create2, 4 CreateExternal",
    "evm": "2 Resurrect, 3 GetBytecode, 4 GetBytecodeHash, 5 GetStorageAt, 6 InvokeContractDelegate",
    "init": "2 Exec, 3 Exec4",
    "multisig": "2 Propose, 3 Approve, 4 Cancel, 5 AddSigner, 6 RemoveSigner, 7 SwapSigner,"
    " 8 ChangeNumApprovalsThreshold, 9 LockBalance",
    "paymentchannel": "2 UpdateChannelState, 3 Settle, 4 Collect",
    "reward": "2 AwardBlockReward, 3 ThisEpochReward, 4 UpdateNetworkKPI",
    "storagemarket": "2 AddBalance, 3 WithdrawBalance, 4 PublishStorageDeals, 5 VerifyDealsForActivation,"
    " 6 BatchActivateDeals, 7 OnMinerSectorsTerminate, 9 CronTick",
    "storageminer": "2 ControlAddresses, 3 ChangeWorkerAddress, 4 ChangePeerID, 5 SubmitWindowedPoSt,"
    " 9 TerminateSectors, 10 DeclareFaults, 11 DeclareFaultsRecovered, 12 OnDeferredCronEvent, 13 CheckSectorProven,"
    " 14 ApplyRewards, 15 ReportConsensusFault, 16 WithdrawBalance, 17 InternalSectorSetupForPreseal,"
    " 18 ChangeMultiaddrs, 19 CompactPartitions, 20 CompactSectorNumbers, 21 ConfirmChangeWorkerAddress,"
    " 22 RepayDebt, 23 ChangeOwnerAddress, 24 DisputeWindowedPoSt, 28 PreCommitSectorBatch2, 30 ChangeBeneficiary,"
    " 31 GetBeneficiary, 32 ExtendSectorExpiration2, 34 ProveCommitSectors3, 35 ProveReplicaUpdates3,"
    " 36 ProveCommitSectorsNI, 37 UpgradeSectorQuality",
    "storagepower": "2 CreateMiner, 3 UpdateClaimedPower, 4 EnrollCronEvent, 5 OnEpochTickEnd, 6 UpdatePledgeTotal,"
    " 9 CurrentTotalPower",
    "verifiedregistry": "2 AddVerifier, 3 RemoveVerifier, 4 AddVerifiedClient, 7 RemoveVerifiedClientDataCap,"
    " 8 RemoveExpiredAllocations, 9 ClaimAllocations, 10 GetClaims, 11 ExtendClaimTerms, 12 RemoveExpiredClaims",
}
"""The methods of each actor that have a number which is no hash, the constructor left out."""

_TODAYS_LAYOUTS: Final = 13
"""The version of the actors from which on the layouts are those of `State` at the latest."""

_RECEIVER: Final = "UniversalReceiver"
"""What the schemas call the method `Receive` of a receiver of tokens."""


@dataclass(frozen=True, slots=True)
class ActorMethod:
    """A method's name, and the types of its parameters and its answer in its actor's schema, where it has any."""

    name: str
    params: str | None = None
    answer: str | None = None


@cache
def actor_schema(actor: str) -> Schema:
    """The schema of a built-in actor by its name; of any other actor, what all share."""
    return Schema.parse(schema_text(actor if actor in NAMES else "placeholder"))


def state_types(schema: Schema, actors: int | None) -> list[str]:
    """The types that an actor's state may have: the layout of a version of the actors first (None: the newest).

    `StateV10` is the layout from version 10 on, until the next one's; `State` is what there is today.
    """
    named = [name for name in schema.types if name == "State" or name.startswith("StateV")]
    begun = {name: _TODAYS_LAYOUTS if name == "State" else int(name.removeprefix("StateV")) for name in named}
    latest = max(begun.values(), default=0) if actors is None else actors
    return sorted(named, key=lambda name: (begun[name] > latest, -begun[name]))


def actor_method(actor: str, number: int) -> ActorMethod | None:
    """The method of an actor, by the actor's name and the method's number; None where it is not known."""
    return ActorMethod("Send") if number == 0 else methods(actor).get(MethodNumber(number))


@cache
def methods(actor: str) -> dict[MethodNumber, ActorMethod]:
    """Every method that an actor may have, by number: by the one that it has among actors, and by its name's hash."""
    return methods_of(actor_schema(actor).types, OWN_NUMBERS.get(actor, ""))


def methods_of(types: Iterable[str], own_numbers: str = "") -> dict[MethodNumber, ActorMethod]:
    """The methods that the names of types speak of, by number; `own_numbers` in the form of OWN_NUMBERS."""
    types = set(types)
    own = [row.split() for row in own_numbers.split(", ") if row]
    ends = ("Params", "Return")
    names = {name.removesuffix(end) for name in types for end in ends if name.endswith(end)} | {row[1] for row in own}

    def method(name: str) -> ActorMethod:
        params, answer = (name + end if name + end in types else None for end in ends)
        return ActorMethod("Receive" if name == _RECEIVER else name, params, answer)

    found = {method_number(method(name).name): method(name) for name in names}
    found[METHOD_CONSTRUCTOR] = method("Constructor")
    return found | {MethodNumber(int(number)): method(name) for number, name in own}


def term_below(schema: Schema, term: Term, step: str) -> Term:
    """The type of what is one step below a value of a type in the same block: a field, an entry."""
    match schema.type_of(term):
        case Struct(fields):
            return fields[step].type
        case Map(_, value) | List(value):
            return value
        case _:
            return ANY


def meaning(schema: Schema, term: Term, data: bytes) -> int | Address | bytes:
    """What a byte string of a type stands for: an amount, an address, or itself."""
    name = schema.name_of(term) if isinstance(term, str) else ""
    try:
        if name in AMOUNTS:
            return decode_bigint(data)
        return Address.from_bytes(data) if name == "Address" else data
    except HypervisorError:
        return data
