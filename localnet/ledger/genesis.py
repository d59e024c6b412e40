"""The genesis state of a local network, and its record in the folder.

`hypervisor.bundles.genesis` creates the singletons and reserves. This module adds the accounts: funded f1 and f410
addresses of each key, and the Ethereum account of the zero address (FIP-0055).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bridge.ethereum.addresses import ZERO_ADDRESS, to_filecoin
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import InvalidInput
from hypervisor.installation import FILECOIN, OFFICIAL_EVM
from hypervisor.messages.address import Address
from hypervisor.text import one_line
from hypervisor.types import ATTO_PER_FIL, MAX_FILECOIN_BALANCE, TokenAmount, whole_number
from hypervisor.versions.network_versions import NETWORK_VERSIONS, NetworkVersion, network_version
from hypervisor.versions.overlay import Overlay
from localnet.accounts import Account
from localnet.ledger.upgrades import Upgrade, Upgrades
from store.cid import Cid, show
from store.codec import CodecError, decode_strict, encode, link, unlink

NETWORK_NAME: Final = "localnet"
DEFAULT_BALANCE: Final = TokenAmount(10_000 * ATTO_PER_FIL)
MAX_CHAIN_ID: Final = (1 << 53) - 1
"""Largest chain ID, limited by the safe integers of JavaScript tools."""

MAX_NAME_LENGTH: Final = 100
"""Maximum length of a network's name, in characters."""

OTHER_FOLDER: Final = "or name another folder"
"""Remedy for options that contradict a folder's network."""

_FORMAT: Final = 3
_FORMAT_WITH_OVERLAY: Final = 4
"""Format of a network whose prices or rules differ from its version's; older programs refuse it."""


@dataclass(frozen=True, slots=True)
class GenesisOptions:
    """Options of a new network's genesis.

    - `balances`: attoFIL of f1, f3 and f410 addresses; overrides the accounts' balances.
    - `verified`: DataCap of verified clients in bytes, at least 256.
    - `miners`: number of sectors of a storage miner for each of the first accounts. They are created in the first
      blocks; with an official bundle each takes a day of null rounds.

    `Network` raises InvalidInput for values out of range.

    >>> from hypervisor import Address, fil
    >>> from localnet import GenesisOptions, Network
    >>> bob = Address.delegated(10, bytes.fromhex("b0b0000000000000000000000000000000000002"))
    >>> with Network(genesis=GenesisOptions(balances={bob: fil(7)}, miners=[2])) as network:
    ...     network.balance(bob), network.block_number
    (7 FIL, 3)
    """

    name: str = NETWORK_NAME
    balances: Mapping[Address, TokenAmount] = field(default_factory=dict)
    verified: Mapping[Address, int] = field(default_factory=dict)
    miners: Sequence[int] = ()

    def __repr__(self) -> str:
        rows = (self.balances, "balances"), (self.verified, "verified clients"), (self.miners, "miners")
        return one_line("GenesisOptions", self.name, *(f"{len(items)} {what}" for items, what in rows if items))


NOTHING_MORE: Final = GenesisOptions()


def network_genesis(
    accounts: Sequence[Account], balance: TokenAmount, genesis: GenesisOptions = NOTHING_MORE
) -> tuple[Genesis, TokenAmount]:
    """Return the genesis with `balance` attoFIL for each account's addresses, and the sum of all funds.

    Native addresses get the lower IDs. Raises InvalidInput for amounts that accounts cannot have, and for no name.
    """
    if not (0 < len(genesis.name) <= MAX_NAME_LENGTH and genesis.name.isprintable()):
        raise InvalidInput(f"{genesis.name!r:.40} cannot be a network's name: expected 1 to {MAX_NAME_LENGTH} letters")
    funds: dict[Address, TokenAmount] = {account.native: balance for account in accounts}
    funds.update((account.delegated, balance) for account in accounts)
    funds.setdefault(to_filecoin(ZERO_ADDRESS), TokenAmount(0))
    funds.update(genesis.balances)
    for amount in funds.values():
        whole_number(amount, "a balance", None, unit="attoFIL")
    supply = TokenAmount(sum(funds.values()))
    if min(funds.values()) < 0 or supply > MAX_FILECOIN_BALANCE:
        raise InvalidInput(
            f"{len(funds)} addresses of accounts cannot have {supply} attoFIL together: expected 0 or more each, and "
            "at most 2^127 - 1"
        )
    return Genesis(network_name=genesis.name, accounts=funds), supply


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """Permanent parameters of a network that the machine does not record.

    Its name, the vested attoFIL (the accounts' funds at genesis), the network versions, the EVM engine, the manifest
    (data CID) of the built-in actors at genesis, the name of the rules, and their fork of Ethereum if they have one.
    `overlay` holds experimental changes of the network versions' rows.
    """

    name: str
    vested: TokenAmount
    upgrades: Upgrades
    evm: str
    actors: Cid
    rules: str = FILECOIN
    hardfork: str = ""
    overlay: Overlay | None = None

    def network_at(self, epoch: int) -> NetworkVersion:
        """Return the network version of an epoch's messages, with the overlay."""
        upgrades = self.upgrades
        number = upgrades.version_at(epoch) if upgrades.planned else upgrades.first
        row = NETWORK_VERSIONS.get(number) if self.overlay is None else None  # cached, because every call needs it
        return network_version(number, self.overlay) if row is None else row

    def manifests(self) -> tuple[Cid, ...]:
        """Return the manifests over the network's life, by data CID: the first, and those of its upgrades."""
        return (self.actors, *(upgrade.actors for upgrade in self.upgrades.planned if upgrade.actors is not None))

    def encode(self) -> bytes:
        """Encode the record for the folder."""
        supply, upgrades = self.vested.to_bytes(16, "big"), self.upgrades
        planned = [upgrade.fields() for upgrade in upgrades.planned]
        names = self.evm, link(self.actors), self.rules, self.hardfork
        fields = [self.name, supply, upgrades.first, planned, *names]
        if self.overlay is None:
            return encode([_FORMAT, *fields])
        return encode([_FORMAT_WITH_OVERLAY, *fields, self.overlay.fields()])

    @classmethod
    def decode(cls, data: bytes) -> NetworkRecord:
        """Decode the result of `encode`; InvalidInput for another program's or version's record."""
        try:
            version, *fields = decode_strict(data)
            if version not in (_FORMAT, _FORMAT_WITH_OVERLAY):
                raise InvalidInput(
                    f"the folder's network has record format {version!r:.40}, this program reads {_FORMAT} "
                    f"and {_FORMAT_WITH_OVERLAY}: continue with the release that wrote it, {OTHER_FOLDER} "
                    f"(--load-state accepts the output "
                    f"of anvil_dumpState there)"
                )
            overlay = Overlay.from_fields(fields.pop()) if version == _FORMAT_WITH_OVERLAY else None
            name, supply, first, planned, evm, actors, rules, hardfork = fields
            upgrades = Upgrades(first, tuple(Upgrade.from_fields(upgrade) for upgrade in planned))
            vested = TokenAmount(int.from_bytes(supply, "big"))
            return cls(name, vested, upgrades, evm, unlink(actors), rules, hardfork, overlay)
        except (CodecError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"the folder's record of its network cannot be read: {error}") from None


def check_same(
    record: NetworkRecord, bundle: Bundle | None, network: int | None, evm: str | None, name: str | None, now: int
) -> None:
    """Raise InvalidInput if a folder's network differs from the request; None requests nothing.

    The values at genesis and the current ones (version `now`) are both accepted.
    """
    if name not in (None, record.name):
        raise InvalidInput(f"the folder's network is '{record.name}', not '{name}': omit the name, {OTHER_FOLDER}")
    if network not in (None, record.upgrades.first, now):
        raise InvalidInput(
            f"the folder's state has network version {now}, not {network}: omit the network version, {OTHER_FOLDER}"
        )
    if bundle is not None and bundle.manifest.data not in record.manifests():
        raise InvalidInput(
            f"the folder's state was made with the bundle of manifest data {show(record.actors)}, not with "
            f"{show(bundle.manifest.data)} (see `hypervisor bundle list`): omit the bundle, {OTHER_FOLDER}"
        )
    if evm is not None and OFFICIAL_EVM in {evm, record.evm} != {OFFICIAL_EVM}:
        raise InvalidInput(
            f"the folder's contracts are run by '{record.evm}', not by '{evm}', whose gas differs: "
            f"omit the engine, {OTHER_FOLDER}"
        )
