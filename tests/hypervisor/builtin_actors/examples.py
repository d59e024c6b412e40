"""A call of each method of each actor on the state of `tests.hypervisor.builtin_actors.stage`, as data.

The tests of callers and of bad parameters derive their calls from these, and docs/actors.md lists them. Rules and
numbers are those of the official actors, with the names of the schemas.
"""

from dataclasses import dataclass
from typing import Any, Final

import cbor2
from cbor2 import CBORTag

from bridge.actors.schemas import actor_method, methods
from bridge.filecoin.method_numbers import FIRST_EXPORTED_METHOD, method_number
from hypervisor import Address
from hypervisor.bundles.manifest import Manifest
from hypervisor.types import MethodNumber
from store.codec import encode, link
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    FIL,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
    signature,
)
from tests.hypervisor.builtin_actors.stage import (
    CHANNEL,
    CONTRACT,
    EPOCH,
    GOVERNOR,
    MINER,
    RAW_ACTOR,
    SETTLED,
    TERM,
    WALLET,
    deal,
)  # fmt: skip
from tests.hypervisor.builtin_actors.test_same_market import SEAL_2K, bitfield
from tests.hypervisor.builtin_actors.test_same_paymentchannel import Voucher
from tests.hypervisor.builtin_actors.test_same_power import WINDOW_2K
from tests.hypervisor.builtin_actors.test_same_registry import BYTE, DAY, KIB, TERM_MAX, TERM_MIN, piece
from tests.hypervisor.builtin_actors.test_same_sectors import ESTIMATES


@dataclass(frozen=True)
class Code:
    """A link to the code of a built-in actor, which differs by bundle."""

    name: str


ABSENT: Final = object()
"""Marker for absent parameters."""


@dataclass(frozen=True)
class Example:
    """A call by actor ID; `exported` is True if the method can also be called by the hash of its name."""

    actor: str
    method: str
    to: int
    by: int
    params: Any = ABSENT
    value: int = 0
    exit_code: int = 0
    exported: bool = False

    @property
    def numbers(self) -> tuple[MethodNumber, ...]:
        """Return the method's numbers."""
        named = [number for number, method in methods(self.actor).items() if method.name == self.method]
        own = [number for number in named if number < FIRST_EXPORTED_METHOD]
        return tuple(sorted([*own, *(method_number(self.method) for _ in range(self.exported or not own))]))

    def encoded(self, manifest: Manifest) -> bytes:
        """Return the parameters with a bundle's own links."""
        return b"" if self.params is ABSENT else encoded(resolved(self.params, manifest))

    @property
    def schema_type(self) -> str | None:
        """Return the type of its parameters in the actor's schema."""
        method = actor_method(self.actor, self.numbers[0])
        assert method is not None, f"{self.actor}.{self.method} is not in the schema"
        return method.params


def encoded(value: Any) -> bytes:
    """Encode any value as CBOR, including what a strict encoder rejects."""
    return cbor2.dumps(value)


def resolved(value: Any, manifest: Manifest) -> Any:
    """Replace each `Code` in a value by the bundle's own link."""
    if isinstance(value, Code):
        return link(manifest.code(value.name))
    if isinstance(value, CBORTag) and isinstance(value.value, Code):
        return CBORTag(value.tag, link(manifest.code(value.value.name)).value)
    if isinstance(value, dict):
        return {key: resolved(item, manifest) for key, item in value.items()}
    return [resolved(item, manifest) for item in value] if isinstance(value, list) else value


def _id(actor: int) -> bytes:
    return raw(Address.id(actor))


def _signed(signer: Address, message: bytes) -> bytes:
    return b"\x01" + signature(signer, message)


def _removal(verifier: Address) -> list[bytes]:
    """Return a verifier's signature for the removal of 1,000 bytes of BOB's."""
    message = b"fil_removedatacap:" + packed(_id(101), amount(1000), [0])
    return [raw(verifier), _signed(verifier, message)]


def _constructor(actor: str, by: int, params: Any = ABSENT, value: int = 0) -> Example:
    return Example(actor, "Constructor", RAW_ACTOR[actor], by, params, value)


def _getters(actor: str, to: int, names: str, params: Any = ABSENT, exit_code: int = 0) -> tuple[Example, ...]:
    return tuple(Example(actor, name, to, 103, params, exit_code=exit_code) for name in names.split())


_SIGNERS = [[raw(ALICE), raw(BOB)], 1, 0, 0]
_PIECE = [piece(9), 1024, encode(2)]
_EVENT = [packed(1), *(list(estimate) for estimate in ESTIMATES)]

EXAMPLES: Final[tuple[Example, ...]] = (
    _constructor("system", 0),
    _constructor("init", 0, ["localnet"]),
    Example("init", "Exec", 1, 100, [Code("multisig"), packed(*_SIGNERS)], 5),
    Example("init", "Exec4", 1, 10, [Code("evm"), packed(bytes(20), b""), b"\x66" * 20], 5),
    _constructor("cron", 0, [[[_id(4), 5], [_id(5), 9]]]),
    Example("cron", "EpochTick", 3, 0),
    _constructor("account", 0, raw(STRANGER)),
    Example("account", "PubkeyAddress", 100, 103),
    Example("account", "AuthenticateMessage", 100, 103, [signature(ALICE, b"words"), b"words"]),
    _constructor("ethaccount", 0),
    # --- power and reward ---
    _constructor("storagepower", 0),
    Example(
        "storagepower", "CreateMiner", 4, 100, [raw(ALICE), raw(WORKER), WINDOW_2K, b"peer", [b"somewhere"]], FIL,
        exported=True,
    ),
    Example("storagepower", "UpdateClaimedPower", 4, MINER, [amount(2048), amount(-2048)]),
    Example("storagepower", "EnrollCronEvent", 4, MINER, [EPOCH + 9, packed(1)]),
    Example("storagepower", "OnEpochTickEnd", 4, 3),
    Example("storagepower", "UpdatePledgeTotal", 4, MINER, amount(-5)),
    *_getters("storagepower", 4, "CurrentTotalPower NetworkRawPower MinerCount MinerConsensusCount"),
    *_getters("storagepower", 4, "MinerRawPower MinerPower", MINER),
    _constructor("reward", 0, amount(0)),
    Example("reward", "AwardBlockReward", 2, 0, [_id(MINER), amount(5), amount(7), 1]),
    *_getters("reward", 2, "ThisEpochReward"),
    Example("reward", "UpdateNetworkKPI", 2, 4, amount(1 << 50)),
    # --- the miner ---
    _constructor("storageminer", 1, [raw(ALICE), raw(WORKER), [raw(BOB)], WINDOW_2K, b"peer", [b"somewhere"]], FIL),
    *_getters("storageminer", MINER, "ControlAddresses GetOwner GetSectorSize GetAvailableBalance GetVestingFunds"),
    *_getters("storageminer", MINER, "GetPeerID GetMultiaddrs InitialPledge"),
    *_getters("storageminer", MINER, "IsControllingAddress", raw(CAROL)),
    *_getters("storageminer", MINER, "MaxTerminationFee", [amount(2048), amount(FIL)]),
    *_getters("storageminer", MINER, "GenerateSectorLocation", [7]),
    *_getters("storageminer", MINER, "ValidateSectorStatus", [7, 0, packed(-1, -1)]),
    *_getters("storageminer", MINER, "GetNominalSectorExpiration", 7, 17),
    *_getters("storageminer", MINER, "CheckSectorProven", [7], 17),
    Example("storageminer", "ChangeWorkerAddress", MINER, 100, [raw(WORKER), [raw(DAVE)]], exported=True),
    Example("storageminer", "ChangePeerID", MINER, 105, [b"another"], exported=True),
    Example("storageminer", "DeclareFaults", MINER, 105, [[[20, 0, bitfield(7)]]], exit_code=17),
    Example("storageminer", "OnDeferredCronEvent", MINER, 4, _EVENT),
    Example("storageminer", "ApplyRewards", MINER, 2, [amount(FIL), amount(5)], FIL),
    Example("storageminer", "WithdrawBalance", MINER, 100, [amount(5)], exported=True),
    Example("storageminer", "ChangeMultiaddrs", MINER, 105, [[b"here", b"there"]], exported=True),
    Example("storageminer", "ConfirmChangeWorkerAddress", MINER, 100, exported=True),
    Example("storageminer", "RepayDebt", MINER, 105, value=5, exported=True),
    Example("storageminer", "ChangeOwnerAddress", MINER, 101, _id(101), exported=True),
    Example("storageminer", "ChangeBeneficiary", MINER, 102, [raw(CAROL), amount(FIL), 10**6], exported=True),
    Example("storageminer", "GetBeneficiary", MINER, 103, exported=True),
    # --- the market ---
    _constructor("storagemarket", 0),
    Example("storagemarket", "AddBalance", 5, 103, raw(CAROL), 77, exported=True),
    Example("storagemarket", "WithdrawBalance", 5, 101, [raw(BOB), amount(5)], exported=True),
    Example("storagemarket", "PublishStorageDeals", 5, 100, [[deal("a").signed(), deal("b").signed()]], exported=True),
    Example("storagemarket", "VerifyDealsForActivation", 5, MINER, [[[2, SEAL_2K, 1300 * DAY, [1, 2]]]]),
    Example("storagemarket", "BatchActivateDeals", 5, MINER, [[[2, SEAL_2K, 1300 * DAY, [1, 2]]], True]),
    Example("storagemarket", "OnMinerSectorsTerminate", 5, MINER, [EPOCH, bitfield(1)]),
    Example("storagemarket", "CronTick", 5, 3),
    *_getters("storagemarket", 5, "GetBalance", raw(BOB)),
    *_getters("storagemarket", 5, "GetDealDataCommitment GetDealClient GetDealProvider GetDealLabel GetDealTerm", 0),
    *_getters("storagemarket", 5, "GetDealTotalPrice GetDealClientCollateral GetDealProviderCollateral", 0),
    *_getters("storagemarket", 5, "GetDealVerified GetDealActivation GetDealSector", 0),
    Example("storagemarket", "SettleDealPayments", 5, 103, bitfield(0, 2)),
    Example("storagemarket", "SectorContentChanged", 5, MINER, [[3, 1300 * DAY, [_PIECE]]]),
    # --- wallets and channels ---
    _constructor("multisig", 1, _SIGNERS),
    Example("multisig", "Propose", WALLET, 100, [raw(DAVE), amount(3), 0, b""]),
    Example("multisig", "Approve", WALLET, 101, [0, b""]),
    Example("multisig", "Cancel", WALLET, 100, [1, b""]),
    Example("multisig", "AddSigner", WALLET, WALLET, [raw(DAVE), True]),
    Example("multisig", "RemoveSigner", WALLET, WALLET, [raw(CAROL), False]),
    Example("multisig", "SwapSigner", WALLET, WALLET, [raw(CAROL), raw(DAVE)]),
    Example("multisig", "ChangeNumApprovalsThreshold", WALLET, WALLET, [3]),
    Example("multisig", "LockBalance", WALLET, WALLET, [5, 1000, amount(FIL)]),
    Example("multisig", "Receive", WALLET, 103, [1, b"payload"]),
    _constructor("paymentchannel", 1, [raw(ALICE), raw(BOB)]),
    Example(
        "paymentchannel", "UpdateChannelState", CHANNEL, 101,
        [Voucher(Address.id(CHANNEL), lane=3, nonce=2, amount=5).signed_by(ALICE), b""],
    ),
    Example("paymentchannel", "Settle", CHANNEL, 100),
    Example("paymentchannel", "Collect", SETTLED, 101),
    # --- verified data ---
    _constructor("verifiedregistry", 0, _id(80)),
    Example("verifiedregistry", "AddVerifier", 6, 80, [raw(DAVE), amount(10**6)]),
    Example("verifiedregistry", "RemoveVerifier", 6, 80, raw(CAROL)),
    Example("verifiedregistry", "AddVerifiedClient", 6, 100, [raw(DAVE), amount(4096)], exported=True),
    Example(
        "verifiedregistry", "RemoveVerifiedClientDataCap", 6, 80,
        [raw(BOB), amount(1000), _removal(ALICE), _removal(CAROL)],
    ),
    Example("verifiedregistry", "RemoveExpiredAllocations", 6, 103, [101, [3]], exported=True),
    Example(
        "verifiedregistry", "ClaimAllocations", 6, MINER,
        [[[2, EPOCH + TERM_MIN, [[101, 1, piece(1), KIB]]], [3, EPOCH + TERM_MIN, [[101, 2, piece(2), KIB]]]], False],
    ),
    Example("verifiedregistry", "GetClaims", 6, 103, [MINER, [4, 5]], exported=True),
    Example("verifiedregistry", "ExtendClaimTerms", 6, 101, [[[MINER, 4, TERM + 5]]], exported=True),
    Example("verifiedregistry", "RemoveExpiredClaims", 6, 103, [MINER, [4]], exported=True),
    Example(
        "verifiedregistry", "Receive", 6, 7,
        [2233613279, packed(101, 6, 101, amount(0), packed([], []), b"")],
    ),
    _constructor("datacap", 0, _id(GOVERNOR)),
    *_getters("datacap", 7, "Name Symbol Granularity TotalSupply"),
    *_getters("datacap", 7, "Balance", raw(BOB)),
    *_getters("datacap", 7, "Allowance", [raw(BOB), raw(CAROL)]),
    Example("datacap", "Mint", 7, GOVERNOR, [raw(DAVE), amount(BYTE), [raw(CAROL)]]),
    Example("datacap", "Destroy", 7, GOVERNOR, [raw(BOB), amount(BYTE)]),
    Example(
        "datacap", "Transfer", 7, 101,
        [raw(Address.id(6)), amount(KIB * BYTE), packed([[MINER, piece(8), KIB, TERM_MIN, TERM_MAX, 50 * DAY]], [])],
    ),
    Example(
        "datacap", "TransferFrom", 7, 102,
        [_id(101), _id(6), amount(KIB * BYTE), packed([], [[MINER, 5, TERM + 9]])],
    ),
    Example("datacap", "IncreaseAllowance", 7, 101, [raw(DAVE), amount(BYTE)]),
    Example("datacap", "DecreaseAllowance", 7, 101, [raw(CAROL), amount(BYTE)]),
    Example("datacap", "RevokeAllowance", 7, 101, [raw(CAROL)]),
    Example("datacap", "Burn", 7, 101, [amount(BYTE)]),
    Example("datacap", "BurnFrom", 7, 102, [raw(BOB), amount(BYTE)]),
    # --- contracts ---
    Example("eam", "Constructor", 10, 0),
    Example("eam", "Create", 10, CONTRACT, [b"\x60\x01", 5], 3),
    Example("eam", "Create2", 10, CONTRACT, [b"\x60\x01", b"\x05" * 32], 3),
    Example("eam", "CreateExternal", 10, 103, b"\x60\x01", 3),
)  # fmt: skip

CALLERS: Final = {
    "system": 0, "init": 1, "reward": 2, "cron": 3, "power": 4, "market": 5, "registry": 6, "datacap": 7, "eam": 10,
    "root of the registry": 80, "burnt funds": 99, "alice": 100, "bob": 101, "carol": 102, "dave": 103,
    "Ethereum account": 104, "worker": 105, "multisig": 107, "payment channel": 108, "contract": 110,
    "placeholder": 111, "miner": 112, "other miner": 113, "user's actor": 114,
}  # fmt: skip
"""Actors of every kind by ID; roles are listed in `tests.hypervisor.builtin_actors.stage`."""


def of_actor(actor: str) -> tuple[Example, ...]:
    return tuple(example for example in EXAMPLES if example.actor == actor)


ACTORS: Final = tuple(dict.fromkeys(example.actor for example in EXAMPLES))
