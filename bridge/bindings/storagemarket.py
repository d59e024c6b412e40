"""f05: the storage market and its deals.

Generated from fvm_hypervisor/builtin_actors/schemas/storagemarket.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from bridge.bindings.common import BatchReturn
from hypervisor.address import Address
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount
from store.cid import Cid

CODEC: Final = Codec("storagemarket", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
VERIFY_DEALS_FOR_ACTIVATION: Final = MethodNumber(5)
BATCH_ACTIVATE_DEALS: Final = MethodNumber(6)
ON_MINER_SECTORS_TERMINATE: Final = MethodNumber(7)
CRON_TICK: Final = MethodNumber(9)
GET_DEAL_LABEL: Final = MethodNumber(46363526)
GET_DEAL_CLIENT: Final = MethodNumber(128053329)
GET_DEAL_TERM: Final = MethodNumber(163777312)
GET_DEAL_CLIENT_COLLATERAL: Final = MethodNumber(200567895)
GET_BALANCE: Final = MethodNumber(726108461)
ADD_BALANCE: Final = MethodNumber(822473126)
GET_DEAL_PROVIDER: Final = MethodNumber(935081690)
GET_DEAL_DATA_COMMITMENT: Final = MethodNumber(1157985802)
SETTLE_DEAL_PAYMENTS: Final = MethodNumber(1900091594)
SECTOR_CONTENT_CHANGED: Final = MethodNumber(2034386435)
PUBLISH_STORAGE_DEALS: Final = MethodNumber(2236929350)
WITHDRAW_BALANCE: Final = MethodNumber(2280458852)
GET_DEAL_ACTIVATION: Final = MethodNumber(2567238399)
GET_DEAL_SECTOR: Final = MethodNumber(2611213344)
GET_DEAL_VERIFIED: Final = MethodNumber(2627389465)
GET_DEAL_PROVIDER_COLLATERAL: Final = MethodNumber(2986712137)
MARKET_NOTIFY_DEAL: Final = MethodNumber(4186741094)
GET_DEAL_TOTAL_PRICE: Final = MethodNumber(4287162428)


class Exit(IntEnum):
    """Exit codes specific to this actor; `hypervisor.exit_codes.ExitCode` has the common ones."""

    DEAL_EXPIRED = 32
    DEAL_NOT_ACTIVATED = 33


@dataclass(frozen=True, slots=True)
class DealProposal(Struct, codec=CODEC):
    """DealProposal, used in parameters and return values.

    `piece_size`: bytes, padded. `start_epoch`, `end_epoch`: an epoch. `storage_price_per_epoch`,
    `provider_collateral`, `client_collateral`: attoFIL.
    """

    piece_cid: Cid
    piece_size: int
    verified_deal: bool
    client: Address
    provider: Address
    label: str | bytes
    start_epoch: ChainEpoch
    end_epoch: ChainEpoch
    storage_price_per_epoch: TokenAmount
    provider_collateral: TokenAmount
    client_collateral: TokenAmount


@dataclass(frozen=True, slots=True)
class ClientDealProposal(Struct, codec=CODEC):
    """ClientDealProposal, used in parameters and return values.

    `client_signature`: a type byte, then the signature.
    """

    proposal: DealProposal
    client_signature: bytes


@dataclass(frozen=True, slots=True)
class SectorDeals(Struct, codec=CODEC):
    """SectorDeals, used in parameters and return values. `sector_expiry`: an epoch."""

    sector_number: int
    sector_type: int
    sector_expiry: ChainEpoch
    deal_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WithdrawBalanceParams(Struct, codec=CODEC):
    """Parameters of WithdrawBalance. `amount`: attoFIL."""

    provider_or_client: Address
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class PublishStorageDealsParams(Struct, codec=CODEC):
    """Parameters of PublishStorageDeals."""

    deals: tuple[ClientDealProposal, ...]


@dataclass(frozen=True, slots=True)
class PublishStorageDealsReturn(Struct, codec=CODEC):
    """Return value of PublishStorageDeals. `valid_deals`: a set of numbers in RLE+."""

    ids: tuple[int, ...]
    valid_deals: bytes


@dataclass(frozen=True, slots=True)
class VerifyDealsForActivationParams(Struct, codec=CODEC):
    """Parameters of VerifyDealsForActivation."""

    sectors: tuple[SectorDeals, ...]


@dataclass(frozen=True, slots=True)
class VerifyDealsForActivationReturn(Struct, codec=CODEC):
    """Return value of VerifyDealsForActivation."""

    unsealed_cids: tuple[Cid | None, ...]


@dataclass(frozen=True, slots=True)
class BatchActivateDealsParams(Struct, codec=CODEC):
    """Parameters of BatchActivateDeals."""

    sectors: tuple[SectorDeals, ...]
    compute_cid: bool


@dataclass(frozen=True, slots=True)
class BatchActivateDealsReturn(Struct, codec=CODEC):
    """Return value of BatchActivateDeals."""

    activation_results: BatchReturn
    activations: tuple[SectorDealActivation, ...]


@dataclass(frozen=True, slots=True)
class SectorDealActivation(Struct, codec=CODEC):
    """SectorDealActivation, used in parameters and return values."""

    activated: tuple[ActivatedDeal, ...]
    unsealed_cid: Cid | None


@dataclass(frozen=True, slots=True)
class ActivatedDeal(Struct, codec=CODEC):
    """ActivatedDeal, used in parameters and return values. `size`: bytes, padded."""

    client: ActorID
    allocation_id: int
    data: Cid
    size: int


@dataclass(frozen=True, slots=True)
class OnMinerSectorsTerminateParams(Struct, codec=CODEC):
    """Parameters of OnMinerSectorsTerminate. `epoch`: an epoch. `sectors`: a set of numbers in RLE+."""

    epoch: ChainEpoch
    sectors: bytes


@dataclass(frozen=True, slots=True)
class GetBalanceReturn(Struct, codec=CODEC):
    """Return value of GetBalance. `balance`, `locked`: attoFIL."""

    balance: TokenAmount
    locked: TokenAmount


@dataclass(frozen=True, slots=True)
class GetDealDataCommitmentReturn(Struct, codec=CODEC):
    """Return value of GetDealDataCommitment. `size`: bytes, padded."""

    data: Cid
    size: int


@dataclass(frozen=True, slots=True)
class GetDealTermReturn(Struct, codec=CODEC):
    """Return value of GetDealTerm. `start`, `duration`: an epoch."""

    start: ChainEpoch
    duration: ChainEpoch


@dataclass(frozen=True, slots=True)
class GetDealActivationReturn(Struct, codec=CODEC):
    """Return value of GetDealActivation. `activated`, `terminated`: an epoch."""

    activated: ChainEpoch
    terminated: ChainEpoch


@dataclass(frozen=True, slots=True)
class SettleDealPaymentsReturn(Struct, codec=CODEC):
    """Return value of SettleDealPayments."""

    results: BatchReturn
    settlements: tuple[DealSettlement, ...]


@dataclass(frozen=True, slots=True)
class DealSettlement(Struct, codec=CODEC):
    """DealSettlement, used in parameters and return values. `payment`: attoFIL."""

    payment: TokenAmount
    completed: bool


@dataclass(frozen=True, slots=True)
class SectorChanges(Struct, codec=CODEC):
    """SectorChanges, used in parameters and return values. `minimum_commitment_epoch`: an epoch."""

    sector: int
    minimum_commitment_epoch: ChainEpoch
    added: tuple[PieceChange, ...]


@dataclass(frozen=True, slots=True)
class PieceChange(Struct, codec=CODEC):
    """PieceChange, used in parameters and return values. `size`: bytes, padded. `payload`: CBOR or empty."""

    data: Cid
    size: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class MarketNotifyDealParams(Struct, codec=CODEC):
    """Parameters of MarketNotifyDeal. `proposal`: CBOR or empty."""

    proposal: bytes
    deal_id: int


def constructor() -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)


def verify_deals_for_activation(sectors: Sequence[SectorDeals]) -> Call[VerifyDealsForActivationReturn]:
    """Call VerifyDealsForActivation, method 5."""
    return CODEC.call(
        VERIFY_DEALS_FOR_ACTIVATION,
        "VerifyDealsForActivationParams",
        VerifyDealsForActivationParams(tuple(sectors)),
        "VerifyDealsForActivationReturn",
    )


def batch_activate_deals(sectors: Sequence[SectorDeals], compute_cid: bool) -> Call[BatchActivateDealsReturn]:
    """Call BatchActivateDeals, method 6."""
    return CODEC.call(
        BATCH_ACTIVATE_DEALS,
        "BatchActivateDealsParams",
        BatchActivateDealsParams(tuple(sectors), compute_cid),
        "BatchActivateDealsReturn",
    )


def on_miner_sectors_terminate(epoch: int, sectors: bytes) -> Call[None]:
    """Call OnMinerSectorsTerminate, method 7. `epoch`: an epoch. `sectors`: a set of numbers in RLE+."""
    return CODEC.call(
        ON_MINER_SECTORS_TERMINATE,
        "OnMinerSectorsTerminateParams",
        OnMinerSectorsTerminateParams(ChainEpoch(epoch), sectors),
        None,
    )


def cron_tick() -> Call[None]:
    """Call CronTick, method 9."""
    return CODEC.call(CRON_TICK, None, None, None)


def get_deal_label(deal: int) -> Call[str | bytes]:
    """Call GetDealLabel, method 46363526."""
    return CODEC.call(GET_DEAL_LABEL, "GetDealLabelParams", deal, "GetDealLabelReturn")


def get_deal_client(deal: int) -> Call[ActorID]:
    """Call GetDealClient, method 128053329."""
    return CODEC.call(GET_DEAL_CLIENT, "GetDealClientParams", deal, "GetDealClientReturn")


def get_deal_term(deal: int) -> Call[GetDealTermReturn]:
    """Call GetDealTerm, method 163777312."""
    return CODEC.call(GET_DEAL_TERM, "GetDealTermParams", deal, "GetDealTermReturn")


def get_deal_client_collateral(deal: int) -> Call[TokenAmount]:
    """Call GetDealClientCollateral, method 200567895."""
    return CODEC.call(
        GET_DEAL_CLIENT_COLLATERAL, "GetDealClientCollateralParams", deal, "GetDealClientCollateralReturn"
    )


def get_balance(address: Address) -> Call[GetBalanceReturn]:
    """Call GetBalance, method 726108461."""
    return CODEC.call(GET_BALANCE, "GetBalanceParams", address, "GetBalanceReturn")


def add_balance(address: Address) -> Call[None]:
    """Call AddBalance, method 822473126 (2 between actors)."""
    return CODEC.call(ADD_BALANCE, "AddBalanceParams", address, None)


def get_deal_provider(deal: int) -> Call[ActorID]:
    """Call GetDealProvider, method 935081690."""
    return CODEC.call(GET_DEAL_PROVIDER, "GetDealProviderParams", deal, "GetDealProviderReturn")


def get_deal_data_commitment(deal: int) -> Call[GetDealDataCommitmentReturn]:
    """Call GetDealDataCommitment, method 1157985802."""
    return CODEC.call(GET_DEAL_DATA_COMMITMENT, "GetDealDataCommitmentParams", deal, "GetDealDataCommitmentReturn")


def settle_deal_payments(value: bytes) -> Call[SettleDealPaymentsReturn]:
    """Call SettleDealPayments, method 1900091594. `value`: a set of numbers in RLE+."""
    return CODEC.call(SETTLE_DEAL_PAYMENTS, "SettleDealPaymentsParams", value, "SettleDealPaymentsReturn")


def sector_content_changed(value: Sequence[SectorChanges]) -> Call[tuple[tuple[bool, ...], ...]]:
    """Call SectorContentChanged, method 2034386435."""
    return CODEC.call(SECTOR_CONTENT_CHANGED, "SectorContentChangedParams", tuple(value), "SectorContentChangedReturn")


def publish_storage_deals(deals: Sequence[ClientDealProposal]) -> Call[PublishStorageDealsReturn]:
    """Call PublishStorageDeals, method 2236929350 (4 between actors)."""
    return CODEC.call(
        PUBLISH_STORAGE_DEALS,
        "PublishStorageDealsParams",
        PublishStorageDealsParams(tuple(deals)),
        "PublishStorageDealsReturn",
    )


def withdraw_balance(provider_or_client: Address, amount: int) -> Call[TokenAmount]:
    """Call WithdrawBalance, method 2280458852 (3 between actors). `amount`: attoFIL."""
    return CODEC.call(
        WITHDRAW_BALANCE,
        "WithdrawBalanceParams",
        WithdrawBalanceParams(provider_or_client, TokenAmount(amount)),
        "WithdrawBalanceReturn",
    )


def get_deal_activation(deal: int) -> Call[GetDealActivationReturn]:
    """Call GetDealActivation, method 2567238399."""
    return CODEC.call(GET_DEAL_ACTIVATION, "GetDealActivationParams", deal, "GetDealActivationReturn")


def get_deal_sector(deal: int) -> Call[int]:
    """Call GetDealSector, method 2611213344."""
    return CODEC.call(GET_DEAL_SECTOR, "GetDealSectorParams", deal, "GetDealSectorReturn")


def get_deal_verified(deal: int) -> Call[bool]:
    """Call GetDealVerified, method 2627389465."""
    return CODEC.call(GET_DEAL_VERIFIED, "GetDealVerifiedParams", deal, "GetDealVerifiedReturn")


def get_deal_provider_collateral(deal: int) -> Call[TokenAmount]:
    """Call GetDealProviderCollateral, method 2986712137."""
    return CODEC.call(
        GET_DEAL_PROVIDER_COLLATERAL, "GetDealProviderCollateralParams", deal, "GetDealProviderCollateralReturn"
    )


def market_notify_deal(proposal: bytes, deal_id: int) -> Call[None]:
    """Call MarketNotifyDeal, method 4186741094. `proposal`: CBOR or empty."""
    return CODEC.call(MARKET_NOTIFY_DEAL, "MarketNotifyDealParams", MarketNotifyDealParams(proposal, deal_id), None)


def get_deal_total_price(deal: int) -> Call[TokenAmount]:
    """Call GetDealTotalPrice, method 4287162428."""
    return CODEC.call(GET_DEAL_TOTAL_PRICE, "GetDealTotalPriceParams", deal, "GetDealTotalPriceReturn")
