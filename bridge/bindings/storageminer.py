"""A storage provider.

Generated from fvm_hypervisor/builtin_actors/schemas/storageminer.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from bridge.bindings.common import BatchReturn, FilterEstimate
from hypervisor.address import Address
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount
from store.cid import Cid

CODEC: Final = Codec("storageminer", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
CONTROL_ADDRESSES: Final = MethodNumber(2)
SUBMIT_WINDOWED_POST: Final = MethodNumber(5)
TERMINATE_SECTORS: Final = MethodNumber(9)
DECLARE_FAULTS: Final = MethodNumber(10)
DECLARE_FAULTS_RECOVERED: Final = MethodNumber(11)
ON_DEFERRED_CRON_EVENT: Final = MethodNumber(12)
CHECK_SECTOR_PROVEN: Final = MethodNumber(13)
APPLY_REWARDS: Final = MethodNumber(14)
REPORT_CONSENSUS_FAULT: Final = MethodNumber(15)
INTERNAL_SECTOR_SETUP_FOR_PRESEAL: Final = MethodNumber(17)
COMPACT_PARTITIONS: Final = MethodNumber(19)
COMPACT_SECTOR_NUMBERS: Final = MethodNumber(20)
DISPUTE_WINDOWED_POST: Final = MethodNumber(24)
PRE_COMMIT_SECTOR_BATCH2: Final = MethodNumber(28)
EXTEND_SECTOR_EXPIRATION2: Final = MethodNumber(32)
PROVE_COMMIT_SECTORS3: Final = MethodNumber(34)
PROVE_REPLICA_UPDATES3: Final = MethodNumber(35)
PROVE_COMMIT_SECTORS_NI: Final = MethodNumber(36)
UPGRADE_SECTOR_QUALITY: Final = MethodNumber(37)
IS_CONTROLLING_ADDRESS: Final = MethodNumber(348244887)
CHANGE_OWNER_ADDRESS: Final = MethodNumber(1010589339)
CHANGE_MULTIADDRS: Final = MethodNumber(1063480576)
CHANGE_PEER_ID: Final = MethodNumber(1236548004)
GENERATE_SECTOR_LOCATION: Final = MethodNumber(1321604665)
GET_MULTIADDRS: Final = MethodNumber(1332909407)
CHANGE_BENEFICIARY: Final = MethodNumber(1570634796)
GET_VESTING_FUNDS: Final = MethodNumber(1726876304)
WITHDRAW_BALANCE: Final = MethodNumber(2280458852)
CONFIRM_CHANGE_WORKER_ADDRESS: Final = MethodNumber(2354970453)
DEVELOPMENT_ONLY_COMMIT_SECTORS: Final = MethodNumber(2677950482)
GET_PEER_ID: Final = MethodNumber(2812875329)
GET_NOMINAL_SECTOR_EXPIRATION: Final = MethodNumber(3010055991)
VALIDATE_SECTOR_STATUS: Final = MethodNumber(3092458564)
INITIAL_PLEDGE: Final = MethodNumber(3180523767)
GET_OWNER: Final = MethodNumber(3275365574)
CHANGE_WORKER_ADDRESS: Final = MethodNumber(3302309124)
REPAY_DEBT: Final = MethodNumber(3665352697)
GET_SECTOR_SIZE: Final = MethodNumber(3858292296)
DEVELOPMENT_ONLY_PROVE_DEADLINE: Final = MethodNumber(3957066685)
GET_AVAILABLE_BALANCE: Final = MethodNumber(4026106874)
MAX_TERMINATION_FEE: Final = MethodNumber(4127382196)
GET_BENEFICIARY: Final = MethodNumber(4158972569)


class Exit(IntEnum):
    """Exit codes specific to this actor; `hypervisor.exit_codes.ExitCode` has the common ones."""

    BALANCE_INVARIANTS_BROKEN = 1000
    NOTIFICATION_SEND_FAILED = 1001
    NOTIFICATION_RECEIVER_ABORTED = 1002
    NOTIFICATION_RESPONSE_INVALID = 1003
    NOTIFICATION_REJECTED = 1004


@dataclass(frozen=True, slots=True)
class VestingFund(Struct, codec=CODEC):
    """VestingFund, used in parameters and return values. `epoch`: an epoch. `amount`: attoFIL."""

    epoch: ChainEpoch
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class BeneficiaryTerm(Struct, codec=CODEC):
    """BeneficiaryTerm, used in parameters and return values.

    `quota`, `used_quota`: attoFIL. `expiration`: an epoch.
    """

    quota: TokenAmount
    used_quota: TokenAmount
    expiration: ChainEpoch


@dataclass(frozen=True, slots=True)
class PendingBeneficiaryChange(Struct, codec=CODEC):
    """PendingBeneficiaryChange, used in parameters and return values.

    `new_quota`: attoFIL. `new_expiration`: an epoch.
    """

    new_beneficiary: Address
    new_quota: TokenAmount
    new_expiration: ChainEpoch
    approved_by_beneficiary: bool
    approved_by_nominee: bool


@dataclass(frozen=True, slots=True)
class SectorPreCommitInfo(Struct, codec=CODEC):
    """SectorPreCommitInfo, used in parameters and return values. `seal_rand_epoch`, `expiration`: an epoch."""

    seal_proof: int
    sector_number: int
    sealed_cid: Cid
    seal_rand_epoch: ChainEpoch
    deal_ids: tuple[int, ...]
    expiration: ChainEpoch
    unsealed_cid: Cid | None


@dataclass(frozen=True, slots=True)
class PoStProof(Struct, codec=CODEC):
    """PoStProof, used in parameters and return values."""

    post_proof: int
    proof_bytes: bytes


@dataclass(frozen=True, slots=True)
class ConstructorParams(Struct, codec=CODEC):
    """Parameters of Constructor."""

    owner: Address
    worker: Address
    control_addresses: tuple[Address, ...]
    window_post_proof_type: int
    peer_id: bytes
    multi_addresses: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ControlAddressesReturn(Struct, codec=CODEC):
    """Return value of ControlAddresses."""

    owner: Address
    worker: Address
    control_addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class ChangeWorkerAddressParams(Struct, codec=CODEC):
    """Parameters of ChangeWorkerAddress."""

    new_worker: Address
    new_control_addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class ChangePeerIDParams(Struct, codec=CODEC):
    """Parameters of ChangePeerID."""

    new_id: bytes


@dataclass(frozen=True, slots=True)
class SubmitWindowedPoStParams(Struct, codec=CODEC):
    """Parameters of SubmitWindowedPoSt. `chain_commit_epoch`: an epoch."""

    deadline: int
    partitions: tuple[PoStPartition, ...]
    proofs: tuple[PoStProof, ...]
    chain_commit_epoch: ChainEpoch
    chain_commit_rand: bytes


@dataclass(frozen=True, slots=True)
class PoStPartition(Struct, codec=CODEC):
    """PoStPartition, used in parameters and return values. `skipped`: a set of numbers in RLE+."""

    index: int
    skipped: bytes


@dataclass(frozen=True, slots=True)
class TerminateSectorsParams(Struct, codec=CODEC):
    """Parameters of TerminateSectors."""

    terminations: tuple[SectorDeclaration, ...]


@dataclass(frozen=True, slots=True)
class SectorDeclaration(Struct, codec=CODEC):
    """SectorDeclaration, used in parameters and return values. `sectors`: a set of numbers in RLE+."""

    deadline: int
    partition: int
    sectors: bytes


@dataclass(frozen=True, slots=True)
class TerminateSectorsReturn(Struct, codec=CODEC):
    """Return value of TerminateSectors."""

    done: bool


@dataclass(frozen=True, slots=True)
class DeclareFaultsParams(Struct, codec=CODEC):
    """Parameters of DeclareFaults."""

    faults: tuple[SectorDeclaration, ...]


@dataclass(frozen=True, slots=True)
class DeclareFaultsRecoveredParams(Struct, codec=CODEC):
    """Parameters of DeclareFaultsRecovered."""

    recoveries: tuple[SectorDeclaration, ...]


@dataclass(frozen=True, slots=True)
class OnDeferredCronEventParams(Struct, codec=CODEC):
    """Parameters of OnDeferredCronEvent. `event_payload`: CBOR or empty."""

    event_payload: bytes
    reward_smoothed: FilterEstimate
    quality_adj_power_smoothed: FilterEstimate


@dataclass(frozen=True, slots=True)
class CheckSectorProvenParams(Struct, codec=CODEC):
    """Parameters of CheckSectorProven."""

    sector_number: int


@dataclass(frozen=True, slots=True)
class ApplyRewardsParams(Struct, codec=CODEC):
    """Parameters of ApplyRewards. `reward`, `penalty`: attoFIL."""

    reward: TokenAmount
    penalty: TokenAmount


@dataclass(frozen=True, slots=True)
class ReportConsensusFaultParams(Struct, codec=CODEC):
    """Parameters of ReportConsensusFault."""

    header1: bytes
    header2: bytes
    header_extra: bytes


@dataclass(frozen=True, slots=True)
class WithdrawBalanceParams(Struct, codec=CODEC):
    """Parameters of WithdrawBalance. `amount_requested`: attoFIL."""

    amount_requested: TokenAmount


@dataclass(frozen=True, slots=True)
class InternalSectorSetupForPresealParams(Struct, codec=CODEC):
    """Parameters of InternalSectorSetupForPreseal."""

    sectors: tuple[int, ...]
    reward_smoothed: FilterEstimate
    reward_baseline_power: int
    quality_adj_power_smoothed: FilterEstimate


@dataclass(frozen=True, slots=True)
class ChangeMultiaddrsParams(Struct, codec=CODEC):
    """Parameters of ChangeMultiaddrs."""

    new_multi_addrs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CompactPartitionsParams(Struct, codec=CODEC):
    """Parameters of CompactPartitions. `partitions`: a set of numbers in RLE+."""

    deadline: int
    partitions: bytes


@dataclass(frozen=True, slots=True)
class CompactSectorNumbersParams(Struct, codec=CODEC):
    """Parameters of CompactSectorNumbers. `mask_sector_numbers`: a set of numbers in RLE+."""

    mask_sector_numbers: bytes


@dataclass(frozen=True, slots=True)
class DisputeWindowedPoStParams(Struct, codec=CODEC):
    """Parameters of DisputeWindowedPoSt."""

    deadline: int
    post_index: int


@dataclass(frozen=True, slots=True)
class PreCommitSectorBatch2Params(Struct, codec=CODEC):
    """Parameters of PreCommitSectorBatch2."""

    sectors: tuple[SectorPreCommitInfo, ...]


@dataclass(frozen=True, slots=True)
class ChangeBeneficiaryParams(Struct, codec=CODEC):
    """Parameters of ChangeBeneficiary. `new_quota`: attoFIL. `new_expiration`: an epoch."""

    new_beneficiary: Address
    new_quota: TokenAmount
    new_expiration: ChainEpoch


@dataclass(frozen=True, slots=True)
class GetBeneficiaryReturn(Struct, codec=CODEC):
    """Return value of GetBeneficiary."""

    active: ActiveBeneficiary
    proposed: PendingBeneficiaryChange | None


@dataclass(frozen=True, slots=True)
class ActiveBeneficiary(Struct, codec=CODEC):
    """ActiveBeneficiary, used in parameters and return values."""

    beneficiary: Address
    term: BeneficiaryTerm


@dataclass(frozen=True, slots=True)
class ExtendSectorExpiration2Params(Struct, codec=CODEC):
    """Parameters of ExtendSectorExpiration2."""

    extensions: tuple[ExpirationExtension, ...]


@dataclass(frozen=True, slots=True)
class ExpirationExtension(Struct, codec=CODEC):
    """ExpirationExtension, used in parameters and return values.

    `sectors`: a set of numbers in RLE+. `new_expiration`: an epoch.
    """

    deadline: int
    partition: int
    sectors: bytes
    sectors_with_claims: tuple[SectorClaim, ...]
    new_expiration: ChainEpoch


@dataclass(frozen=True, slots=True)
class SectorClaim(Struct, codec=CODEC):
    """SectorClaim, used in parameters and return values."""

    sector_number: int
    maintain_claims: tuple[int, ...]
    drop_claims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProveCommitSectors3Params(Struct, codec=CODEC):
    """Parameters of ProveCommitSectors3."""

    sector_activations: tuple[SectorActivationManifest, ...]
    sector_proofs: tuple[bytes, ...]
    aggregate_proof: bytes
    aggregate_proof_type: int | None
    require_activation_success: bool
    require_notification_success: bool


@dataclass(frozen=True, slots=True)
class SectorActivationManifest(Struct, codec=CODEC):
    """SectorActivationManifest, used in parameters and return values."""

    sector_number: int
    pieces: tuple[PieceActivationManifest, ...]


@dataclass(frozen=True, slots=True)
class PieceActivationManifest(Struct, codec=CODEC):
    """PieceActivationManifest, used in parameters and return values. `size`: bytes, padded."""

    cid: Cid
    size: int
    verified_allocation_key: VerifiedAllocationKey | None
    notify: tuple[DataActivationNotification, ...]


@dataclass(frozen=True, slots=True)
class VerifiedAllocationKey(Struct, codec=CODEC):
    """VerifiedAllocationKey, used in parameters and return values."""

    client: ActorID
    id: int


@dataclass(frozen=True, slots=True)
class DataActivationNotification(Struct, codec=CODEC):
    """DataActivationNotification, used in parameters and return values. `payload`: CBOR or empty."""

    address: Address
    payload: bytes


@dataclass(frozen=True, slots=True)
class ProveReplicaUpdates3Params(Struct, codec=CODEC):
    """Parameters of ProveReplicaUpdates3."""

    sector_updates: tuple[SectorUpdateManifest, ...]
    sector_proofs: tuple[bytes, ...]
    aggregate_proof: bytes
    update_proofs_type: int
    aggregate_proof_type: int | None
    require_activation_success: bool
    require_notification_success: bool


@dataclass(frozen=True, slots=True)
class SectorUpdateManifest(Struct, codec=CODEC):
    """SectorUpdateManifest, used in parameters and return values."""

    sector: int
    deadline: int
    partition: int
    new_sealed_cid: Cid
    pieces: tuple[PieceActivationManifest, ...]


@dataclass(frozen=True, slots=True)
class ProveCommitSectorsNIParams(Struct, codec=CODEC):
    """Parameters of ProveCommitSectorsNI."""

    sectors: tuple[SectorNIActivationInfo, ...]
    aggregate_proof: bytes
    seal_proof_type: int
    aggregate_proof_type: int
    proving_deadline: int
    require_activation_success: bool


@dataclass(frozen=True, slots=True)
class SectorNIActivationInfo(Struct, codec=CODEC):
    """SectorNIActivationInfo, used in parameters and return values. `seal_rand_epoch`, `expiration`: an epoch."""

    sealing_number: int
    sealer_id: ActorID
    sealed_cid: Cid
    sector_number: int
    seal_rand_epoch: ChainEpoch
    expiration: ChainEpoch


@dataclass(frozen=True, slots=True)
class GetOwnerReturn(Struct, codec=CODEC):
    """Return value of GetOwner."""

    owner: Address
    proposed: Address | None


@dataclass(frozen=True, slots=True)
class GetVestingFundsReturn(Struct, codec=CODEC):
    """Return value of GetVestingFunds."""

    vesting_funds: tuple[VestingFund, ...]


@dataclass(frozen=True, slots=True)
class GetPeerIDReturn(Struct, codec=CODEC):
    """Return value of GetPeerID."""

    peer_id: bytes


@dataclass(frozen=True, slots=True)
class GetMultiaddrsReturn(Struct, codec=CODEC):
    """Return value of GetMultiaddrs."""

    multi_addrs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MaxTerminationFeeParams(Struct, codec=CODEC):
    """Parameters of MaxTerminationFee. `initial_pledge`: attoFIL."""

    power: int
    initial_pledge: TokenAmount


@dataclass(frozen=True, slots=True)
class GenerateSectorLocationParams(Struct, codec=CODEC):
    """Parameters of GenerateSectorLocation."""

    sector_number: int


@dataclass(frozen=True, slots=True)
class GenerateSectorLocationReturn(Struct, codec=CODEC):
    """Return value of GenerateSectorLocation. `aux_data`: CBOR or empty."""

    status: int
    aux_data: bytes


@dataclass(frozen=True, slots=True)
class SectorLocation(Struct, codec=CODEC):
    """SectorLocation, used in parameters and return values."""

    deadline: int
    partition: int


@dataclass(frozen=True, slots=True)
class ValidateSectorStatusParams(Struct, codec=CODEC):
    """Parameters of ValidateSectorStatus. `aux_data`: CBOR or empty."""

    sector_number: int
    status: int
    aux_data: bytes


@dataclass(frozen=True, slots=True)
class DevelopmentOnlyCommitSectorsParams(Struct, codec=CODEC):
    """On development networks only: official actors do not have these two methods.

    The second takes no parameters. `expiration`: an epoch.
    """

    sectors: tuple[tuple[SectorAllocation, ...], ...]
    expiration: ChainEpoch


@dataclass(frozen=True, slots=True)
class SectorAllocation(Struct, codec=CODEC):
    """SectorAllocation, used in parameters and return values. `size`: bytes, padded."""

    client: ActorID
    allocation_id: int
    data: Cid
    size: int


@dataclass(frozen=True, slots=True)
class UpgradeSectorQualityParams(Struct, codec=CODEC):
    """Parameters of UpgradeSectorQuality."""

    upgrades: tuple[SectorQualityUpgrade, ...]


@dataclass(frozen=True, slots=True)
class SectorQualityUpgrade(Struct, codec=CODEC):
    """SectorQualityUpgrade, used in parameters and return values.

    `sectors`: a set of numbers in RLE+. `new_expiration`: an epoch.
    """

    deadline: int
    partition: int
    sectors: bytes
    new_expiration: ChainEpoch | None


def constructor(
    owner: Address,
    worker: Address,
    control_addresses: Sequence[Address],
    window_post_proof_type: int,
    peer_id: bytes,
    multi_addresses: Sequence[bytes],
) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(
        CONSTRUCTOR,
        "ConstructorParams",
        ConstructorParams(
            owner, worker, tuple(control_addresses), window_post_proof_type, peer_id, tuple(multi_addresses)
        ),
        None,
    )


def control_addresses() -> Call[ControlAddressesReturn]:
    """Call ControlAddresses, method 2."""
    return CODEC.call(CONTROL_ADDRESSES, None, None, "ControlAddressesReturn")


def submit_windowed_post(
    deadline: int,
    partitions: Sequence[PoStPartition],
    proofs: Sequence[PoStProof],
    chain_commit_epoch: int,
    chain_commit_rand: bytes,
) -> Call[None]:
    """Call SubmitWindowedPoSt, method 5. `chain_commit_epoch`: an epoch."""
    return CODEC.call(
        SUBMIT_WINDOWED_POST,
        "SubmitWindowedPoStParams",
        SubmitWindowedPoStParams(
            deadline, tuple(partitions), tuple(proofs), ChainEpoch(chain_commit_epoch), chain_commit_rand
        ),
        None,
    )


def terminate_sectors(terminations: Sequence[SectorDeclaration]) -> Call[TerminateSectorsReturn]:
    """Call TerminateSectors, method 9."""
    return CODEC.call(
        TERMINATE_SECTORS,
        "TerminateSectorsParams",
        TerminateSectorsParams(tuple(terminations)),
        "TerminateSectorsReturn",
    )


def declare_faults(faults: Sequence[SectorDeclaration]) -> Call[None]:
    """Call DeclareFaults, method 10."""
    return CODEC.call(DECLARE_FAULTS, "DeclareFaultsParams", DeclareFaultsParams(tuple(faults)), None)


def declare_faults_recovered(recoveries: Sequence[SectorDeclaration]) -> Call[None]:
    """Call DeclareFaultsRecovered, method 11."""
    return CODEC.call(
        DECLARE_FAULTS_RECOVERED, "DeclareFaultsRecoveredParams", DeclareFaultsRecoveredParams(tuple(recoveries)), None
    )


def on_deferred_cron_event(
    event_payload: bytes, reward_smoothed: FilterEstimate, quality_adj_power_smoothed: FilterEstimate
) -> Call[None]:
    """Call OnDeferredCronEvent, method 12. `event_payload`: CBOR or empty."""
    return CODEC.call(
        ON_DEFERRED_CRON_EVENT,
        "OnDeferredCronEventParams",
        OnDeferredCronEventParams(event_payload, reward_smoothed, quality_adj_power_smoothed),
        None,
    )


def check_sector_proven(sector_number: int) -> Call[None]:
    """Call CheckSectorProven, method 13."""
    return CODEC.call(CHECK_SECTOR_PROVEN, "CheckSectorProvenParams", CheckSectorProvenParams(sector_number), None)


def apply_rewards(reward: int, penalty: int) -> Call[None]:
    """Call ApplyRewards, method 14. `reward`, `penalty`: attoFIL."""
    return CODEC.call(
        APPLY_REWARDS, "ApplyRewardsParams", ApplyRewardsParams(TokenAmount(reward), TokenAmount(penalty)), None
    )


def report_consensus_fault(header1: bytes, header2: bytes, header_extra: bytes) -> Call[None]:
    """Call ReportConsensusFault, method 15."""
    return CODEC.call(
        REPORT_CONSENSUS_FAULT,
        "ReportConsensusFaultParams",
        ReportConsensusFaultParams(header1, header2, header_extra),
        None,
    )


def internal_sector_setup_for_preseal(
    sectors: Sequence[int],
    reward_smoothed: FilterEstimate,
    reward_baseline_power: int,
    quality_adj_power_smoothed: FilterEstimate,
) -> Call[None]:
    """Call InternalSectorSetupForPreseal, method 17."""
    return CODEC.call(
        INTERNAL_SECTOR_SETUP_FOR_PRESEAL,
        "InternalSectorSetupForPresealParams",
        InternalSectorSetupForPresealParams(
            tuple(sectors), reward_smoothed, reward_baseline_power, quality_adj_power_smoothed
        ),
        None,
    )


def compact_partitions(deadline: int, partitions: bytes) -> Call[None]:
    """Call CompactPartitions, method 19. `partitions`: a set of numbers in RLE+."""
    return CODEC.call(
        COMPACT_PARTITIONS, "CompactPartitionsParams", CompactPartitionsParams(deadline, partitions), None
    )


def compact_sector_numbers(mask_sector_numbers: bytes) -> Call[None]:
    """Call CompactSectorNumbers, method 20. `mask_sector_numbers`: a set of numbers in RLE+."""
    return CODEC.call(
        COMPACT_SECTOR_NUMBERS, "CompactSectorNumbersParams", CompactSectorNumbersParams(mask_sector_numbers), None
    )


def dispute_windowed_post(deadline: int, post_index: int) -> Call[None]:
    """Call DisputeWindowedPoSt, method 24."""
    return CODEC.call(
        DISPUTE_WINDOWED_POST, "DisputeWindowedPoStParams", DisputeWindowedPoStParams(deadline, post_index), None
    )


def pre_commit_sector_batch2(sectors: Sequence[SectorPreCommitInfo]) -> Call[None]:
    """Call PreCommitSectorBatch2, method 28."""
    return CODEC.call(
        PRE_COMMIT_SECTOR_BATCH2, "PreCommitSectorBatch2Params", PreCommitSectorBatch2Params(tuple(sectors)), None
    )


def extend_sector_expiration2(extensions: Sequence[ExpirationExtension]) -> Call[None]:
    """Call ExtendSectorExpiration2, method 32."""
    return CODEC.call(
        EXTEND_SECTOR_EXPIRATION2,
        "ExtendSectorExpiration2Params",
        ExtendSectorExpiration2Params(tuple(extensions)),
        None,
    )


def prove_commit_sectors3(
    sector_activations: Sequence[SectorActivationManifest],
    sector_proofs: Sequence[bytes],
    aggregate_proof: bytes,
    aggregate_proof_type: int | None,
    require_activation_success: bool,
    require_notification_success: bool,
) -> Call[BatchReturn]:
    """Call ProveCommitSectors3, method 34."""
    return CODEC.call(
        PROVE_COMMIT_SECTORS3,
        "ProveCommitSectors3Params",
        ProveCommitSectors3Params(
            tuple(sector_activations),
            tuple(sector_proofs),
            aggregate_proof,
            aggregate_proof_type,
            require_activation_success,
            require_notification_success,
        ),
        "ProveCommitSectors3Return",
    )


def prove_replica_updates3(
    sector_updates: Sequence[SectorUpdateManifest],
    sector_proofs: Sequence[bytes],
    aggregate_proof: bytes,
    update_proofs_type: int,
    aggregate_proof_type: int | None,
    require_activation_success: bool,
    require_notification_success: bool,
) -> Call[BatchReturn]:
    """Call ProveReplicaUpdates3, method 35."""
    return CODEC.call(
        PROVE_REPLICA_UPDATES3,
        "ProveReplicaUpdates3Params",
        ProveReplicaUpdates3Params(
            tuple(sector_updates),
            tuple(sector_proofs),
            aggregate_proof,
            update_proofs_type,
            aggregate_proof_type,
            require_activation_success,
            require_notification_success,
        ),
        "ProveReplicaUpdates3Return",
    )


def prove_commit_sectors_ni(
    sectors: Sequence[SectorNIActivationInfo],
    aggregate_proof: bytes,
    seal_proof_type: int,
    aggregate_proof_type: int,
    proving_deadline: int,
    require_activation_success: bool,
) -> Call[BatchReturn]:
    """Call ProveCommitSectorsNI, method 36."""
    return CODEC.call(
        PROVE_COMMIT_SECTORS_NI,
        "ProveCommitSectorsNIParams",
        ProveCommitSectorsNIParams(
            tuple(sectors),
            aggregate_proof,
            seal_proof_type,
            aggregate_proof_type,
            proving_deadline,
            require_activation_success,
        ),
        "ProveCommitSectorsNIReturn",
    )


def upgrade_sector_quality(upgrades: Sequence[SectorQualityUpgrade]) -> Call[None]:
    """Call UpgradeSectorQuality, method 37."""
    return CODEC.call(
        UPGRADE_SECTOR_QUALITY, "UpgradeSectorQualityParams", UpgradeSectorQualityParams(tuple(upgrades)), None
    )


def is_controlling_address(address: Address) -> Call[bool]:
    """Call IsControllingAddress, method 348244887."""
    return CODEC.call(IS_CONTROLLING_ADDRESS, "IsControllingAddressParams", address, "IsControllingAddressReturn")


def change_owner_address(address: Address) -> Call[None]:
    """Call ChangeOwnerAddress, method 1010589339 (23 between actors)."""
    return CODEC.call(CHANGE_OWNER_ADDRESS, "ChangeOwnerAddressParams", address, None)


def change_multiaddrs(new_multi_addrs: Sequence[bytes]) -> Call[None]:
    """Call ChangeMultiaddrs, method 1063480576 (18 between actors)."""
    return CODEC.call(CHANGE_MULTIADDRS, "ChangeMultiaddrsParams", ChangeMultiaddrsParams(tuple(new_multi_addrs)), None)


def change_peer_id(new_id: bytes) -> Call[None]:
    """Call ChangePeerID, method 1236548004 (4 between actors)."""
    return CODEC.call(CHANGE_PEER_ID, "ChangePeerIDParams", ChangePeerIDParams(new_id), None)


def generate_sector_location(sector_number: int) -> Call[GenerateSectorLocationReturn]:
    """Call GenerateSectorLocation, method 1321604665."""
    return CODEC.call(
        GENERATE_SECTOR_LOCATION,
        "GenerateSectorLocationParams",
        GenerateSectorLocationParams(sector_number),
        "GenerateSectorLocationReturn",
    )


def get_multiaddrs() -> Call[GetMultiaddrsReturn]:
    """Call GetMultiaddrs, method 1332909407."""
    return CODEC.call(GET_MULTIADDRS, None, None, "GetMultiaddrsReturn")


def change_beneficiary(new_beneficiary: Address, new_quota: int, new_expiration: int) -> Call[None]:
    """Call ChangeBeneficiary, method 1570634796 (30 between actors).

    `new_quota`: attoFIL. `new_expiration`: an epoch.
    """
    return CODEC.call(
        CHANGE_BENEFICIARY,
        "ChangeBeneficiaryParams",
        ChangeBeneficiaryParams(new_beneficiary, TokenAmount(new_quota), ChainEpoch(new_expiration)),
        None,
    )


def get_vesting_funds() -> Call[GetVestingFundsReturn]:
    """Call GetVestingFunds, method 1726876304."""
    return CODEC.call(GET_VESTING_FUNDS, None, None, "GetVestingFundsReturn")


def withdraw_balance(amount_requested: int) -> Call[TokenAmount]:
    """Call WithdrawBalance, method 2280458852 (16 between actors). `amount_requested`: attoFIL."""
    return CODEC.call(
        WITHDRAW_BALANCE,
        "WithdrawBalanceParams",
        WithdrawBalanceParams(TokenAmount(amount_requested)),
        "WithdrawBalanceReturn",
    )


def confirm_change_worker_address() -> Call[None]:
    """Call ConfirmChangeWorkerAddress, method 2354970453 (21 between actors)."""
    return CODEC.call(CONFIRM_CHANGE_WORKER_ADDRESS, None, None, None)


def development_only_commit_sectors(
    sectors: Sequence[tuple[SectorAllocation, ...]], expiration: int
) -> Call[tuple[int, ...]]:
    """Call DevelopmentOnlyCommitSectors, method 2677950482. `expiration`: an epoch."""
    return CODEC.call(
        DEVELOPMENT_ONLY_COMMIT_SECTORS,
        "DevelopmentOnlyCommitSectorsParams",
        DevelopmentOnlyCommitSectorsParams(tuple(sectors), ChainEpoch(expiration)),
        "DevelopmentOnlyCommitSectorsReturn",
    )


def get_peer_id() -> Call[GetPeerIDReturn]:
    """Call GetPeerID, method 2812875329."""
    return CODEC.call(GET_PEER_ID, None, None, "GetPeerIDReturn")


def get_nominal_sector_expiration(sector: int) -> Call[ChainEpoch]:
    """Call GetNominalSectorExpiration, method 3010055991."""
    return CODEC.call(
        GET_NOMINAL_SECTOR_EXPIRATION, "GetNominalSectorExpirationParams", sector, "GetNominalSectorExpirationReturn"
    )


def validate_sector_status(sector_number: int, status: int, aux_data: bytes) -> Call[bool]:
    """Call ValidateSectorStatus, method 3092458564. `aux_data`: CBOR or empty."""
    return CODEC.call(
        VALIDATE_SECTOR_STATUS,
        "ValidateSectorStatusParams",
        ValidateSectorStatusParams(sector_number, status, aux_data),
        "ValidateSectorStatusReturn",
    )


def initial_pledge() -> Call[TokenAmount]:
    """Call InitialPledge, method 3180523767."""
    return CODEC.call(INITIAL_PLEDGE, None, None, "InitialPledgeReturn")


def get_owner() -> Call[GetOwnerReturn]:
    """Call GetOwner, method 3275365574."""
    return CODEC.call(GET_OWNER, None, None, "GetOwnerReturn")


def change_worker_address(new_worker: Address, new_control_addresses: Sequence[Address]) -> Call[None]:
    """Call ChangeWorkerAddress, method 3302309124 (3 between actors)."""
    return CODEC.call(
        CHANGE_WORKER_ADDRESS,
        "ChangeWorkerAddressParams",
        ChangeWorkerAddressParams(new_worker, tuple(new_control_addresses)),
        None,
    )


def repay_debt() -> Call[None]:
    """Call RepayDebt, method 3665352697 (22 between actors)."""
    return CODEC.call(REPAY_DEBT, None, None, None)


def get_sector_size() -> Call[int]:
    """Call GetSectorSize, method 3858292296."""
    return CODEC.call(GET_SECTOR_SIZE, None, None, "GetSectorSizeReturn")


def development_only_prove_deadline() -> Call[int]:
    """Call DevelopmentOnlyProveDeadline, method 3957066685."""
    return CODEC.call(DEVELOPMENT_ONLY_PROVE_DEADLINE, None, None, "DevelopmentOnlyProveDeadlineReturn")


def get_available_balance() -> Call[TokenAmount]:
    """Call GetAvailableBalance, method 4026106874."""
    return CODEC.call(GET_AVAILABLE_BALANCE, None, None, "GetAvailableBalanceReturn")


def max_termination_fee(power: int, initial_pledge: int) -> Call[TokenAmount]:
    """Call MaxTerminationFee, method 4127382196. `initial_pledge`: attoFIL."""
    return CODEC.call(
        MAX_TERMINATION_FEE,
        "MaxTerminationFeeParams",
        MaxTerminationFeeParams(power, TokenAmount(initial_pledge)),
        "MaxTerminationFeeReturn",
    )


def get_beneficiary() -> Call[GetBeneficiaryReturn]:
    """Call GetBeneficiary, method 4158972569 (31 between actors)."""
    return CODEC.call(GET_BENEFICIARY, None, None, "GetBeneficiaryReturn")
