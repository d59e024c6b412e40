"""The built-in actors' schemas: methods by number, and events.

The parameters and return value of a method have the types `<Method>Params` and `<Method>Return` of its actor's schema
(`hypervisor.builtin_actors.schemas`). Its number is the hash of its name (FRC-42); methods for calls between actors
have the numbers below.

An entry's value in an event is CBOR and mostly self-describing. Amounts and nested parameters are not: these have a
field in the type `EventEntries` of their actor's schema, with dashes of the key as underscores. Source: FIP-0049,
FIP-0083; for the reward actor FIP-0118. Values are not formatted here; only byte strings are interpreted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from bridge.filecoin.method_numbers import method_number
from hypervisor.builtin_actors.schemas import NAMES, schema_text
from hypervisor.errors import HypervisorError
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.types import METHOD_CONSTRUCTOR, MethodNumber, decode_bigint
from store.cid import CBOR, DAG_CBOR
from store.codec import CodecError, decode_strict
from store.schema import Schema, SchemaError
from store.schema.types import List, Map, Struct, Term

ANY: Final = "Any"
"""Type of values that no schema describes."""

AMOUNTS: Final = ("BigInt", "TokenAmount", "DataCap")
"""Integers of any size, encoded in CBOR as byte strings."""

UNSIGNED: Final[Mapping[str, int]] = MappingProxyType({
    "ActorID": 64, "SectorNumber": 64, "DealID": 64, "AllocationID": 64, "MethodNum": 64, "PaddedPieceSize": 64,
    "DeadlineIndex": 64, "PartitionIndex": 64, "StreamID": 64, "Fraction": 64, "ReplaceOutcome": 64, "ExitCode": 32,
    "OperationNumber": 8,
})  # fmt: skip
SIGNED: Final[Mapping[str, int]] = MappingProxyType({"ChainEpoch": 64, "TxnID": 64, "RegisteredProof": 64, "Slope": 64})
"""Sizes in bits of shared integers, which official actors enforce in parameters.

Any other `Int` may be any CBOR integer.
"""

FIXED_NUMBERS: Final = {
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
"""Methods of each actor with a number that is not a hash, except the constructor."""

_TODAYS_LAYOUTS: Final = 13
"""Actors version from which on all layouts are those of `State`."""

_RECEIVER: Final = "UniversalReceiver"
"""Schema name of the method `Receive` of token receivers."""


@dataclass(frozen=True, slots=True)
class ActorMethod:
    """A method's name, and the schema types of its parameters (`params`) and return value (`returns`), if any."""

    name: str
    params: str | None = None
    returns: str | None = None


@cache
def actor_schema(actor: str) -> Schema:
    """Return the schema of a built-in actor by name; for other names, the common schema."""
    return Schema.parse(schema_text(actor if actor in NAMES else "placeholder"))


def state_types(schema: Schema, actors: int | None) -> list[str]:
    """Return the possible types of an actor's state: the layout of an actors version first (None: the newest).

    `StateV10` is the layout from version 10 until the next one's; `State` is the current one.
    """
    named = [name for name in schema.types if name == "State" or name.startswith("StateV")]
    begun = {name: _TODAYS_LAYOUTS if name == "State" else int(name.removeprefix("StateV")) for name in named}
    latest = max(begun.values(), default=0) if actors is None else actors
    return sorted(named, key=lambda name: (begun[name] > latest, -begun[name]))


def actor_method(actor: str, number: int) -> ActorMethod | None:
    """Return a method by actor name and method number, or None if it is unknown."""
    return ActorMethod("Send") if number == 0 else methods(actor).get(MethodNumber(number))


@cache
def methods(actor: str) -> dict[MethodNumber, ActorMethod]:
    """Return all methods of an actor by number, both by small number and by the hash of the name."""
    return methods_of(actor_schema(actor).types, FIXED_NUMBERS.get(actor, ""))


def methods_of(types: Iterable[str], fixed_numbers: str = "") -> dict[MethodNumber, ActorMethod]:
    """Return the methods that type names refer to, by number; `fixed_numbers` has the format of FIXED_NUMBERS."""
    types = set(types)
    own = [row.split() for row in fixed_numbers.split(", ") if row]
    ends = ("Params", "Return")
    names = {name.removesuffix(end) for name in types for end in ends if name.endswith(end)} | {row[1] for row in own}

    def method(name: str) -> ActorMethod:
        params, answer = (name + end if name + end in types else None for end in ends)
        return ActorMethod("Receive" if name == _RECEIVER else name, params, answer)

    found = {method_number(method(name).name): method(name) for name in names}
    found[METHOD_CONSTRUCTOR] = method("Constructor")
    return found | {MethodNumber(int(number)): method(name) for number, name in own}


def term_below(schema: Schema, term: Term, step: str) -> Term:
    """Return the type of a field or entry of a value of type `term` in the same block."""
    match schema.type_of(term):
        case Struct(fields):
            return fields[step].type
        case Map(_, value) | List(value):
            return value
        case _:
            return ANY


def meaning(schema: Schema, term: Term, data: bytes) -> int | Address | bytes:
    """Interpret a byte string by its type: an amount, an address, or the bytes themselves."""
    name = schema.name_of(term) if isinstance(term, str) else ""
    try:
        if name in AMOUNTS:
            return decode_bigint(data)
        return Address.from_bytes(data) if name == "Address" else data
    except HypervisorError:
        return data


EVENT_ENTRIES: Final = "EventEntries"
"""Name of the schema type with the types of event values."""

KIND_KEY: Final = "$type"
_PAYLOAD, _OPERATION = "payload", "op"

PAYLOADS: Final[Mapping[str, str]] = MappingProxyType({
    "SetWeightRecords": "SetWeightRecordsParams",
    "StepWeightRecords": "StepWeightRecordsParams",
    "RegisterStream": "RegisterStreamPayload",
    "RemoveStream": "EmptyTuple",
    "SetDistribution": "SetDistributionPayload",
})  # fmt: skip
"""Type of a pending write's payload by operation (f02 from version 19 on)."""


@dataclass(frozen=True, slots=True)
class EventValue:
    """An entry's value as returned by `Schema.read`, with its type."""

    key: str
    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class NativeEvent:
    """A native actor's event: its kind (the entry `$type`, or None) and the other entries in order."""

    kind: str | None
    values: tuple[EventValue, ...]


def native_event(schema: Schema, entries: Sequence[EventEntry]) -> NativeEvent | None:
    """Decode a native actor's event with the actor's schema, or return None if an entry is not CBOR."""
    try:
        values = [_read(schema, entry.key, _type_of(schema, entry.key), _cbor(entry)) for entry in entries]
    except CodecError:
        return None
    kinds = [value for value in values if value.key == KIND_KEY and type(value.value) is str]
    rest = tuple(_payload(schema, value, values) for value in values if value not in kinds[:1])
    return NativeEvent(kinds[0].value if kinds else None, rest)


def _cbor(entry: EventEntry) -> bytes:
    if entry.codec not in (CBOR, DAG_CBOR):
        raise CodecError(f"codec 0x{entry.codec:x}")
    return entry.value


def _type_of(schema: Schema, key: str) -> str:
    declared = schema.types.get(EVENT_ENTRIES)
    field = declared.fields.get(key.replace("-", "_")) if isinstance(declared, Struct) else None
    return field.type if field is not None and isinstance(field.type, str) else ANY


def _read(schema: Schema, key: str, term: str, data: bytes) -> EventValue:
    """Decode a value by its type, or as plain CBOR if it does not match."""
    found = decode_strict(data)
    try:
        return EventValue(key, term, schema.read(term, found))
    except SchemaError:
        return EventValue(key, ANY, found)


def _payload(schema: Schema, value: EventValue, beside: Sequence[EventValue]) -> EventValue:
    """Decode a pending write's payload by the operation in the same event."""
    operation = next((other.value for other in beside if other.key == _OPERATION), None)
    term = PAYLOADS.get(operation) if isinstance(operation, str) else None
    if value.key != _PAYLOAD or term is None or type(value.value) is not bytes:
        return value
    try:
        return _read(schema, value.key, term, value.value)
    except CodecError:
        return value
