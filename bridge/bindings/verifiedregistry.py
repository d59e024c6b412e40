"""f06: verifiers and clients of verified data, with their allocations and claims.

Generated from fvm_hypervisor/builtin_actors/schemas/verifiedregistry.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from bridge.bindings.common import BatchReturn
from hypervisor.address import Address
from hypervisor.types import ActorID, ChainEpoch, MethodNumber
from store.cid import Cid

CODEC: Final = Codec("verifiedregistry", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
ADD_VERIFIER: Final = MethodNumber(2)
REMOVE_VERIFIER: Final = MethodNumber(3)
REMOVE_VERIFIED_CLIENT_DATA_CAP: Final = MethodNumber(7)
CLAIM_ALLOCATIONS: Final = MethodNumber(9)
EXTEND_CLAIM_TERMS: Final = MethodNumber(1752273514)
GET_CLAIMS: Final = MethodNumber(2199871187)
REMOVE_EXPIRED_ALLOCATIONS: Final = MethodNumber(2421068268)
REMOVE_EXPIRED_CLAIMS: Final = MethodNumber(2873373899)
ADD_VERIFIED_CLIENT: Final = MethodNumber(3916220144)


@dataclass(frozen=True, slots=True)
class RemovalProposalID(Struct, codec=CODEC):
    """RemovalProposalID, used in parameters and return values."""

    id: int


@dataclass(frozen=True, slots=True)
class Claim(Struct, codec=CODEC):
    """Claim, used in parameters and return values.

    `size`: bytes, padded. `term_min`, `term_max`, `term_start`: an epoch.
    """

    provider: ActorID
    client: ActorID
    data: Cid
    size: int
    term_min: ChainEpoch
    term_max: ChainEpoch
    term_start: ChainEpoch
    sector: int


@dataclass(frozen=True, slots=True)
class AddVerifierParams(Struct, codec=CODEC):
    """Parameters of AddVerifier. `allowance`: bytes of data."""

    address: Address
    allowance: int


@dataclass(frozen=True, slots=True)
class RemoveVerifiedClientDataCapParams(Struct, codec=CODEC):
    """Parameters of RemoveVerifiedClientDataCap. `data_cap_amount_to_remove`: bytes of data."""

    verified_client_to_remove: Address
    data_cap_amount_to_remove: int
    verifier_request_1: RemoveDataCapRequest
    verifier_request_2: RemoveDataCapRequest


@dataclass(frozen=True, slots=True)
class RemoveDataCapRequest(Struct, codec=CODEC):
    """RemoveDataCapRequest, used in parameters and return values. `signature`: a type byte, then the signature."""

    verifier: Address
    signature: bytes


@dataclass(frozen=True, slots=True)
class RemoveVerifiedClientDataCapReturn(Struct, codec=CODEC):
    """Return value of RemoveVerifiedClientDataCap. `data_cap_removed`: bytes of data."""

    verified_client: Address
    data_cap_removed: int


@dataclass(frozen=True, slots=True)
class RemoveDataCapProposal(Struct, codec=CODEC):
    """The data that a verifier signs, prefixed with "fil_removedatacap:". `data_cap_amount`: bytes of data."""

    verified_client: Address
    data_cap_amount: int
    removal_proposal_id: RemovalProposalID


@dataclass(frozen=True, slots=True)
class RemoveExpiredAllocationsParams(Struct, codec=CODEC):
    """Parameters of RemoveExpiredAllocations."""

    client: ActorID
    allocation_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RemoveExpiredAllocationsReturn(Struct, codec=CODEC):
    """Return value of RemoveExpiredAllocations. `datacap_recovered`: bytes of data."""

    considered: tuple[int, ...]
    results: BatchReturn
    datacap_recovered: int


@dataclass(frozen=True, slots=True)
class ClaimAllocationsParams(Struct, codec=CODEC):
    """Parameters of ClaimAllocations."""

    sectors: tuple[SectorAllocationClaims, ...]
    all_or_nothing: bool


@dataclass(frozen=True, slots=True)
class SectorAllocationClaims(Struct, codec=CODEC):
    """SectorAllocationClaims, used in parameters and return values. `expiry`: an epoch."""

    sector: int
    expiry: ChainEpoch
    claims: tuple[AllocationClaim, ...]


@dataclass(frozen=True, slots=True)
class AllocationClaim(Struct, codec=CODEC):
    """AllocationClaim, used in parameters and return values. `size`: bytes, padded."""

    client: ActorID
    allocation_id: int
    data: Cid
    size: int


@dataclass(frozen=True, slots=True)
class ClaimAllocationsReturn(Struct, codec=CODEC):
    """Return value of ClaimAllocations."""

    sector_results: BatchReturn
    sector_claims: tuple[SectorClaimSummary, ...]


@dataclass(frozen=True, slots=True)
class SectorClaimSummary(Struct, codec=CODEC):
    """SectorClaimSummary, used in parameters and return values."""

    claimed_space: int


@dataclass(frozen=True, slots=True)
class GetClaimsParams(Struct, codec=CODEC):
    """Parameters of GetClaims."""

    provider: ActorID
    claim_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GetClaimsReturn(Struct, codec=CODEC):
    """Return value of GetClaims."""

    batch_info: BatchReturn
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class ExtendClaimTermsParams(Struct, codec=CODEC):
    """Parameters of ExtendClaimTerms."""

    terms: tuple[ClaimTerm, ...]


@dataclass(frozen=True, slots=True)
class ClaimTerm(Struct, codec=CODEC):
    """ClaimTerm, used in parameters and return values. `term_max`: an epoch."""

    provider: ActorID
    claim_id: int
    term_max: ChainEpoch


@dataclass(frozen=True, slots=True)
class RemoveExpiredClaimsReturn(Struct, codec=CODEC):
    """Return value of RemoveExpiredClaims."""

    considered: tuple[int, ...]
    results: BatchReturn


@dataclass(frozen=True, slots=True)
class AllocationRequests(Struct, codec=CODEC):
    """AllocationRequests, used in parameters and return values."""

    allocations: tuple[AllocationRequest, ...]
    extensions: tuple[ClaimTerm, ...]


@dataclass(frozen=True, slots=True)
class AllocationRequest(Struct, codec=CODEC):
    """AllocationRequest, used in parameters and return values.

    `size`: bytes, padded. `term_min`, `term_max`, `expiration`: an epoch.
    """

    provider: ActorID
    data: Cid
    size: int
    term_min: ChainEpoch
    term_max: ChainEpoch
    expiration: ChainEpoch


@dataclass(frozen=True, slots=True)
class AllocationsResponse(Struct, codec=CODEC):
    """AllocationsResponse, used in parameters and return values."""

    allocation_results: BatchReturn
    extension_results: BatchReturn
    new_allocations: tuple[int, ...]


def constructor(address: Address) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", address, None)


def add_verifier(address: Address, allowance: int) -> Call[None]:
    """Call AddVerifier, method 2. `allowance`: bytes of data."""
    return CODEC.call(ADD_VERIFIER, "AddVerifierParams", AddVerifierParams(address, allowance), None)


def remove_verifier(address: Address) -> Call[None]:
    """Call RemoveVerifier, method 3."""
    return CODEC.call(REMOVE_VERIFIER, "RemoveVerifierParams", address, None)


def remove_verified_client_data_cap(
    verified_client_to_remove: Address,
    data_cap_amount_to_remove: int,
    verifier_request_1: RemoveDataCapRequest,
    verifier_request_2: RemoveDataCapRequest,
) -> Call[RemoveVerifiedClientDataCapReturn]:
    """Call RemoveVerifiedClientDataCap, method 7. `data_cap_amount_to_remove`: bytes of data."""
    return CODEC.call(
        REMOVE_VERIFIED_CLIENT_DATA_CAP,
        "RemoveVerifiedClientDataCapParams",
        RemoveVerifiedClientDataCapParams(
            verified_client_to_remove, data_cap_amount_to_remove, verifier_request_1, verifier_request_2
        ),
        "RemoveVerifiedClientDataCapReturn",
    )


def claim_allocations(sectors: Sequence[SectorAllocationClaims], all_or_nothing: bool) -> Call[ClaimAllocationsReturn]:
    """Call ClaimAllocations, method 9."""
    return CODEC.call(
        CLAIM_ALLOCATIONS,
        "ClaimAllocationsParams",
        ClaimAllocationsParams(tuple(sectors), all_or_nothing),
        "ClaimAllocationsReturn",
    )


def extend_claim_terms(terms: Sequence[ClaimTerm]) -> Call[BatchReturn]:
    """Call ExtendClaimTerms, method 1752273514 (11 between actors)."""
    return CODEC.call(
        EXTEND_CLAIM_TERMS, "ExtendClaimTermsParams", ExtendClaimTermsParams(tuple(terms)), "ExtendClaimTermsReturn"
    )


def get_claims(provider: int, claim_ids: Sequence[int]) -> Call[GetClaimsReturn]:
    """Call GetClaims, method 2199871187 (10 between actors)."""
    return CODEC.call(
        GET_CLAIMS, "GetClaimsParams", GetClaimsParams(ActorID(provider), tuple(claim_ids)), "GetClaimsReturn"
    )


def remove_expired_allocations(client: int, allocation_ids: Sequence[int]) -> Call[RemoveExpiredAllocationsReturn]:
    """Call RemoveExpiredAllocations, method 2421068268 (8 between actors)."""
    return CODEC.call(
        REMOVE_EXPIRED_ALLOCATIONS,
        "RemoveExpiredAllocationsParams",
        RemoveExpiredAllocationsParams(ActorID(client), tuple(allocation_ids)),
        "RemoveExpiredAllocationsReturn",
    )


def remove_expired_claims(provider: int, claim_ids: Sequence[int]) -> Call[RemoveExpiredClaimsReturn]:
    """Call RemoveExpiredClaims, method 2873373899 (12 between actors)."""
    return CODEC.call(
        REMOVE_EXPIRED_CLAIMS,
        "RemoveExpiredClaimsParams",
        GetClaimsParams(ActorID(provider), tuple(claim_ids)),
        "RemoveExpiredClaimsReturn",
    )


def add_verified_client(address: Address, allowance: int) -> Call[None]:
    """Call AddVerifiedClient, method 3916220144 (4 between actors). `allowance`: bytes of data."""
    return CODEC.call(ADD_VERIFIED_CLIENT, "AddVerifiedClientParams", AddVerifierParams(address, allowance), None)
