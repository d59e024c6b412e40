"""Settings of a local network, and its opening: by a new genesis and record, or by the record of a folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from bridge.ethereum.block import ETHEREUM, unit_of
from hypervisor.bundles.bundle import Bundle, runtime_marker
from hypervisor.bundles.genesis import Genesis
from hypervisor.errors import InvalidInput
from hypervisor.installation import AUTO, FILECOIN, INSTALL_AGAIN, OFFICIAL_EVM, OWN_EVM, entry_points_of, parse_version
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.machine_state import Snapshot
from hypervisor.machine.opening import IN_MEMORY, check_same_overlay, load_overlay, open_store
from hypervisor.machine.rules import canonical_rules
from hypervisor.messages.address import Address
from hypervisor.precompiles import Precompile
from hypervisor.proofs.verifier import AcceptProofs, ProofVerifier
from hypervisor.types import ATTO_PER_FIL, Gas, TokenAmount, whole_number
from hypervisor.versions.network_versions import NETWORK_VERSIONS, network_version
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.stream_settings import StreamSettings
from localnet.accounts import DERIVATION_PATH, MAX_ACCOUNTS, TEST_MNEMONIC, Account, accounts
from localnet.chain.block_production import plan_upgrades
from localnet.chain.chain import Chain
from localnet.chain.clock import Clock
from localnet.chain.ethereum_start import base_state, resume_fork, start_fork
from localnet.chain.externs import ChainExterns
from localnet.chain.state_window import StateWindow
from localnet.chain.streams import begin_streams, has_streams
from localnet.ledger.genesis import (
    DEFAULT_BALANCE,
    MAX_CHAIN_ID,
    NOTHING_MORE,
    OTHER_FOLDER,
    GenesisOptions,
    NetworkRecord,
    check_same,
    network_genesis,
)
from localnet.ledger.index import ChainIndex, miners_entries
from localnet.ledger.records import LEAST_GAS_LIMIT, MAX_GAS_LIMIT, Execution, Tipset
from localnet.ledger.upgrades import NO_UPGRADES, UpgradePlan, Upgrades, check_not_ahead
from localnet.miners.policy import MAX_SECTORS, SECTORS_REMEDY
from localnet.preinstalled import preinstall
from localnet.rules.parts import NetworkRules, rules_named, rules_of
from localnet.state.controls import set_balance
from localnet.state.named_code import store_named_code
from store.blocks.bounded import BoundedStore
from store.blocks.memory import OverlayStore, RemoteStore
from store.blockstore import Blockstore, Store
from store.roots import HEAD

if TYPE_CHECKING:
    from localnet.fork.account_origin import AccountBlocks
    from localnet.fork.ethereum_fork import EthereumFork
    from localnet.fork.forking import ForkSource, Origin

_DRAFTS: Final = "hypervisor.drafts"
"""Entry-point group of the function that reads a draft's file, in a package above this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Settings of a local network.

    "Stored" settings are recorded in the network's folder: when the folder is opened again they may be omitted, and a
    different value raises InvalidInput. The other settings apply to this process only.

    >>> from localnet import Network, NetworkSettings
    >>> settings = NetworkSettings(rules="ethereum", chain_id=7)
    >>> with Network(settings=settings, account_count=2) as network:
    ...     network.chain_id, len(network.accounts)
    (7, 2)
    """

    bundle: Bundle | str | Path | None = None
    """Bundle of built-in actors, or its CAR file (default: this project's own). Stored."""
    network: int | str | Path | None = None
    """Network version (29 or `nv29`), or the file of a draft of one (default: the newest of the bundle). Stored."""
    overlay: Overlay | str | Path | None = None
    """Changes to prices and rules of network versions, or their file (`hypervisor.versions.overlay_file`). Stored."""
    rules: str | None = None
    """`filecoin` (default), `ethereum`, or `lab:NAME,...` for Filecoin's rules with labs (docs/labs). Stored."""
    hardfork: str = ""
    """Ethereum hardfork under Ethereum's rules (default: Osaka). Stored."""
    evm: str = AUTO
    """EVM engine that runs contracts (`hypervisor.machine.machine`)."""
    mnemonic: str = TEST_MNEMONIC
    """Mnemonic of the unlocked accounts."""
    derivation_path: str = DERIVATION_PATH
    """BIP-32 path of the accounts, without the last index."""
    account_count: int | None = None
    """Number of unlocked accounts (default: 10)."""
    balance: TokenAmount | None = None
    """Genesis balance of each account in attoFIL (default: 10,000 FIL), at its native and its Ethereum address.

    On a fork, accounts with less than 1 FIL get this balance.
    """
    genesis: GenesisOptions = NOTHING_MORE
    """Additional genesis balances, miners and verified clients."""
    chain_id: int | None = None
    """EIP-155 chain ID (default: 31415926, or 31337 under Ethereum's rules). Stored."""
    bare: bool = False
    """True if the genesis has no preinstalled contracts (`localnet.preinstalled`)."""
    gas_limit: int | None = None
    """Block gas limit under Ethereum's rules, from the genesis or the next block on."""
    fork: ForkSource | None = None
    """Network to fork: its state, actors, network version and chain ID at a block. Stored."""
    upgrades: UpgradePlan = field(default_factory=lambda: NO_UPGRADES)
    """Planned network upgrades by epoch. Stored; a folder's plan may be extended."""
    streams: StreamSettings | None = None
    """Governance of the block reward's streams from network version 29 on (`localnet.chain.streams`)."""
    clock: Clock = time.time
    """Source of the current time in Unix seconds."""
    deferred: bool = False
    """True if receipts are available one block later, as on the Filecoin network."""
    precompiles: Iterable[Precompile | str] = ()
    """Additional precompiles, or names of installed ones (docs/precompiles.md)."""
    keep_states: int | None = None
    """Number of blocks whose states a network in memory retains (default: 4,100, as anvil)."""
    read_only: bool = False
    """True to open a folder's chain at its head without writing to it, even while another process has it open."""
    actor_debugging: bool = False
    """True if native actors log (`hypervisor.tracing.LOGGER`), which costs them gas."""
    proofs: ProofVerifier | None = None
    """Verifier of storage proofs, as `hypervisor.proofs.verifier.StorageProofs` (default: all are accepted)."""
    parallel: int = 1
    """Number of processes that execute a block's messages (`machine.parallel`). Results do not depend on it."""

    def with_options(self, options: dict[str, Any]) -> NetworkSettings:
        """Return these settings with some fields replaced, and with those of a draft's file if `network` is one.

        Raises TypeError for an unknown name, and InvalidInput for a value of the wrong type or an invalid draft.
        """
        known = [each.name for each in fields(self)]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise TypeError(f"Network has no setting {unknown[0]!r}; expected one of {', '.join(known)}")
        changed = replace(self, **options)
        _check_types(changed)
        if isinstance(changed.network, str) and (number := parse_version(changed.network)) is not None:
            return replace(changed, network=number)
        return _under_draft(changed) if isinstance(changed.network, str | Path) else changed

    @property
    def version(self) -> int | None:
        """Network version by its number, once a draft's file is resolved by `with_options`."""
        if isinstance(self.network, str | Path):
            raise InvalidInput(f"the draft {self.network} is not resolved: pass the settings to Network")
        return self.network


_FILE: Final = (str, Path)
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "bundle": ((Bundle, *_FILE), "a Bundle or the path of its CAR file"),
    "network": ((int, *_FILE), "a network version or the path of a draft of one"),
    "overlay": ((Overlay, *_FILE), "an Overlay or the path of its file"),
    "rules": ((str,), "'filecoin', 'ethereum' or 'lab:NAME'"),
    "hardfork": ((str,), "the name of a hardfork, as 'Osaka'"),
    "evm": ((str,), "the name of an EVM engine, as 'auto'"),
    "mnemonic": ((str,), "the words of a mnemonic"),
    "derivation_path": ((str,), "a BIP-32 path, as \"m/44'/60'/0'/0\""),
    "genesis": ((GenesisOptions,), "GenesisOptions"),
    "upgrades": ((Mapping,), "a mapping of epochs to network versions"),
    "streams": ((StreamSettings,), "StreamSettings, as returned by stream_settings"),
    "precompiles": ((Iterable,), "a list of precompiles or their names"),
    **dict.fromkeys(("bare", "deferred", "read_only", "actor_debugging"), ((bool,), "True or False")),
}
"""Accepted types of the settings that are not numbers, and their description."""
_OPTIONAL: Final = ("bundle", "network", "overlay", "rules", "streams")
"""Settings that may also be None."""


def _check_types(settings: NetworkSettings) -> None:
    """Raise InvalidInput for a setting of the wrong type. Numbers are checked where they are used."""
    for name, (types, expected) in _TYPES.items():
        value = getattr(settings, name)
        if not isinstance(value, types) and not (value is None and name in _OPTIONAL):
            raise InvalidInput(f"the setting {name} cannot be {value!r:.60}: expected {expected}")
    if not callable(settings.clock):
        raise InvalidInput(f"the setting clock cannot be {settings.clock!r:.60}: expected a function, as time.time")
    if isinstance(settings.fork, str):
        raise InvalidInput("the setting fork cannot be text: Network.fork(url) forks the network of a node")
    if isinstance(settings.precompiles, str):
        raise InvalidInput(f"the setting precompiles cannot be text: expected a list, [{settings.precompiles!r:.60}]")


def _under_draft(settings: NetworkSettings) -> NetworkSettings:
    """Return the settings that a draft's file chooses. Raises InvalidInput."""
    reader = next(iter(entry_points_of(group=_DRAFTS)), None)
    if reader is None:
        raise InvalidInput(f"no reader of draft versions is registered: {INSTALL_AGAIN}")
    chosen: NetworkSettings = reader.load()(settings)
    return chosen


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens a network in a folder or in memory."""

    path: str | Path
    settings: NetworkSettings
    accounts: tuple[Account, ...]
    rules: str | None
    overlay: Overlay | None

    @classmethod
    def of(cls, path: str | Path, settings: NetworkSettings) -> Opening:
        """Return the opening of a network with these settings. Raises InvalidInput."""
        rules = None if settings.rules is None else canonical_rules(settings.rules)
        if settings.balance is not None:
            whole_number(settings.balance, "the balance of each account", None, unit=unit_of(rules))
        count = 10
        if settings.account_count is not None:
            count = whole_number(settings.account_count, "a number of accounts", 1, MAX_ACCOUNTS)
        unlocked = accounts(settings.mnemonic, count, settings.derivation_path)
        return cls(path, settings, unlocked, rules, load_overlay(settings.overlay))

    @property
    def balance(self) -> TokenAmount:
        """Genesis balance of each account in attoFIL."""
        return DEFAULT_BALANCE if self.settings.balance is None else self.settings.balance

    def chain(self, timestamp: int) -> Chain:
        """Open the chain in the folder, or create one with a genesis at `timestamp` (Unix seconds)."""
        genesis, supply = network_genesis(self.accounts, self.balance, self.settings.genesis)
        bundle = self.settings.bundle
        if isinstance(bundle, str | Path):
            bundle = Bundle.open(bundle)
        with ExitStack() as undo:
            opened, window = self._open()
            store, origin = self._open_fork(undo.enter_context(closing(opened)))
            index, externs = ChainIndex(store), ChainExterns()
            undo.callback(store.close)
            if self.settings.read_only and index.head < 0:
                raise InvalidInput(f"{self.path} holds no chain: omit read_only to create one there")
            miners = self._first_miners(index)
            machine = undo.enter_context(self._machine(store, index, bundle, genesis, externs, origin))
            if index.head < 0:
                store.commit((), {}, miners_entries(miners))
            else:
                self._check_accounts(machine)
            ethereum, filecoin = _split_origin(origin)
            if ethereum is not None:
                self._attach(machine, index, ethereum)
            elif index.head < 0 and filecoin is not None:
                supply = TokenAmount(filecoin.point.vested + self._begin_fork(machine))
                genesis = replace(genesis, network_name=filecoin.point.name)
            elif index.head < 0:
                self._begin(machine)
            first, evm = Upgrades(machine.context.network.number), machine.registry.options["evm"]
            rules = rules_of(machine)
            if index.head < 0:
                store_named_code(store, *rules.code)
            fresh = NetworkRecord(
                genesis.network_name,
                supply,
                first,
                evm,
                machine.manifest.data,
                rules.name,
                rules.hardfork,
                self.overlay,
            )
            gas_limit = None if self.settings.gas_limit is None else _check_gas_limit(self.settings.gas_limit, rules)
            chain = Chain(machine, externs, fresh, timestamp, origin, window, gas_limit)
            if (
                gas_limit is not None and chain.head.next_settings.gas_limit is not None
            ):  # the option overrides the stored setting
                chain.set_next_settings(replace(chain.head.next_settings, gas_limit=None))
            plan_upgrades(chain, self.settings.upgrades, self.settings.streams)
            undo.pop_all()
        return chain

    def _first_miners(self, index: ChainIndex) -> Sequence[int]:
        """Return the numbers of sectors of the chain's first miners: those of the settings, or a folder's missing ones.

        Raises InvalidInput for too many miners or sectors. The settings of an existing folder are not checked: an
        older program may have created it with more sectors.
        """
        if index.head >= 0:
            miners: Sequence[int] = index.planned_miners()
        else:
            miners = self.settings.genesis.miners
            for sectors in miners:
                whole_number(sectors, "a miner's number of sectors", 0, MAX_SECTORS, reason=SECTORS_REMEDY)
        if len(miners) > len(self.accounts):
            raise InvalidInput(f"{len(self.accounts)} accounts cannot own {len(miners)} miners, one each")
        return miners

    def _open(self) -> tuple[Store, StateWindow]:
        """Open the store at the path, and its state window."""
        if str(self.path) == IN_MEMORY:
            if self.settings.read_only:
                raise InvalidInput("read_only needs a folder: name one, or omit read_only")
            store = BoundedStore()
            return store, StateWindow(store, self.settings.keep_states)
        if self.settings.keep_states is not None:
            raise InvalidInput(
                "keep_states applies to networks in memory: states in a folder are collected by `hypervisor gc "
                "--states N`, or by `hypervisor node --keep-states N`"
            )
        if self.settings.read_only:
            from store.rocks.database import RocksStore

            return OverlayStore(RocksStore.open(self.path, read_only=True), closes=True), StateWindow()
        return open_store(self.path), StateWindow()

    def _open_fork(self, store: Store) -> tuple[Store, Origin | EthereumFork | None]:
        """Open the store of a network, with the node of a fork (None: no fork). Raises NodeError."""
        if self._folder is None and self.settings.fork is None and self.rules != ETHEREUM:
            return store, None
        from localnet.fork.ethereum_fork import open_ethereum_fork  # not loaded for the usual network
        from localnet.fork.forking import open_fork

        record = ChainIndex(store).network()
        if (self.rules if record is None else record.rules) != ETHEREUM:
            return open_fork(store, self.settings.fork, self.overlay)
        return open_ethereum_fork(store, self.settings.fork, self._folder)

    def _attach(self, machine: Hypervisor, index: ChainIndex, fork: EthereumFork) -> None:
        """Connect a machine to the accounts of a fork's node, and initialize a new network. Raises NodeError."""
        from localnet.fork.node_client import as_unfit_node

        if index.head >= 0:
            resume_fork(machine, fork)
            return
        with as_unfit_node():
            start_fork(machine, fork, self._funds)
        self._grant_datacap(machine)
        machine.advance(chain_id=fork.point.chain_id if self.settings.chain_id is None else self.settings.chain_id)

    @property
    def _folder(self) -> Path | None:
        return None if str(self.path) == IN_MEMORY else Path(self.path)

    @property
    def _funds(self) -> dict[Address, TokenAmount]:
        """Genesis balances in attoFIL under Ethereum's rules, by address."""
        return {account.delegated: self.balance for account in self.accounts} | dict(self.settings.genesis.balances)

    def restart(self, chain: Chain, source: ForkSource | None, timestamp: int) -> None:
        """Restart a chain under Ethereum's rules: as a fork, or without a source at a genesis of `timestamp`.

        The chain ID is unchanged, except that a network that was not a fork takes that of its fork. Raises UnfitNode
        and InvalidInput; the chain is then unchanged.
        """
        from localnet.fork.ethereum_fork import connect
        from localnet.fork.node_client import as_unfit_node

        machine, remote = chain.machine, cast(RemoteStore, chain.machine.base)
        blocks = cast("AccountBlocks", remote.remote)
        first = chain.index.tipset(chain.index.first).state
        state = first if remote.has(first) else chain.head.state  # a folder loaded from a file has no older state
        fork = None if source is None else connect(None, source, self._folder, blocks)

        def begin(headers: Blockstore) -> list[tuple[Tipset, list[Execution]]]:
            machine.read_from(None)
            machine.restore(Snapshot(state, {}))
            if fork is None:
                base_state(machine)
                for address, amount in self._funds.items():
                    set_balance(machine, address, amount)
                rules_of(machine).settings.begin(machine)
                if not self.settings.bare:
                    preinstall(machine)
            else:
                start_fork(machine, fork, self._funds)
                if chain.origin is None and self.settings.chain_id is None:
                    machine.advance(chain_id=fork.point.chain_id)
            self._grant_datacap(machine)
            return [(chain.first(headers, fork, timestamp), [])]

        try:
            with as_unfit_node():
                chain.restart(fork, begin)
        except BaseException:
            if fork is not None:
                fork.chain.close()
            raise
        blocks.use(None if fork is None else fork.chain.close)

    def _begin(self, machine: Hypervisor) -> None:
        """Initialize a new machine's state: chain ID, contracts of the rules, and preinstalled contracts."""
        rules = rules_of(machine)
        machine.advance(chain_id=rules.chain_id if self.settings.chain_id is None else self.settings.chain_id)
        rules.settings.begin(machine)
        if not self.settings.bare:
            preinstall(machine)
        self._grant_datacap(machine)
        if self.settings.streams is not None and has_streams(machine):
            begin_streams(machine, self.settings.streams)

    def _begin_fork(self, machine: Hypervisor) -> TokenAmount:
        """Fund the accounts that have no balance in a forked state; return the total in attoFIL."""
        wanted = {address: self.balance for account in self.accounts for address in (account.native, account.delegated)}
        wanted.update(self.settings.genesis.balances)
        made = 0
        for address, amount in wanted.items():
            actor = machine.actor(address)
            if actor is None or actor.balance < min(amount, ATTO_PER_FIL):
                made += amount - (0 if actor is None else actor.balance)
                set_balance(machine, address, amount)
        self._grant_datacap(machine)
        if self.settings.chain_id is not None:
            machine.advance(chain_id=self.settings.chain_id)
        return TokenAmount(made)

    def _grant_datacap(self, machine: Hypervisor) -> None:
        if self.settings.genesis.verified:
            from localnet.miners.onboarding import grant_on  # deferred: importing the bindings is slow

            for client, size in self.settings.genesis.verified.items():
                grant_on(machine, client, size)

    def _machine(
        self,
        store: Store,
        index: ChainIndex,
        bundle: Bundle | None,
        genesis: Genesis,
        externs: ChainExterns,
        origin: Origin | EthereumFork | None,
    ) -> Hypervisor:
        """Return the machine; a fork's has the rules of its original network, including labs."""
        network, evm, record = self.settings.version, self.settings.evm, index.network()
        ethereum, filecoin = _split_origin(origin)
        forked, hardfork = None if origin is None else ETHEREUM, self.settings.hardfork
        if ethereum is not None:
            hardfork = hardfork or ethereum.point.hardfork
        elif filecoin is not None:
            forked = filecoin.point.rules
        if record is None and self.settings.fork is None and network is not None:
            _check_own(bundle, network, self.overlay)
            if bundle is not None:
                check_not_ahead(bundle, network)
        chosen = self.rules or forked or FILECOIN
        rules = rules_named(chosen, hardfork) if record is None else self._recorded_rules(record)
        if self.settings.chain_id is not None:
            whole_number(self.settings.chain_id, "a chain id", 1, MAX_CHAIN_ID)
        if self.settings.fork is not None and record is None:
            if filecoin is not None and (network is not None or bundle is not None):
                raise InvalidInput("a fork uses the network version and actors of the forked network: omit them")
            if rules.name != forked:
                raise InvalidInput(
                    f"a fork uses the rules of the forked network, '{forked}', not '{rules.name}': omit the rules"
                )
        if record is not None:
            now = record.upgrades.version_at(index.head)
            name = None if self.settings.genesis == NOTHING_MORE else self.settings.genesis.name
            check_same_overlay(record.overlay, self.overlay)  # first, since a draft also chooses the network version
            check_same(record, bundle, network, None if evm == AUTO else evm, name, now)
            bundle, network = None, None
            if evm == AUTO:
                evm = OFFICIAL_EVM if record.evm == OFFICIAL_EVM else OWN_EVM
        if not rules.features.has_official_evm:
            if evm == OFFICIAL_EVM:
                raise InvalidInput(f"the rules '{rules.name}' need this project's own EVM: choose another evm")
            evm = OWN_EVM if evm == AUTO else evm
        machine = Hypervisor.open(
            store=store,
            bundle=bundle,
            network=network,
            overlay=self.overlay,
            rules=rules.name,
            evm=evm,
            genesis=genesis if store.metadata(HEAD) is None else None,  # the folder's record is compared above
            externs=externs,
            proofs=self.settings.proofs or AcceptProofs(),
            actor_debugging=self.settings.actor_debugging,
        )
        rules.settings.prepare(machine)
        if record is not None and self.settings.chain_id not in (None, machine.context.chain_id):
            found = machine.context.chain_id
            machine.close()
            raise InvalidInput(
                f"the folder's chain ID is {found}, not {self.settings.chain_id}: omit the chain ID, {OTHER_FOLDER}"
            )
        return machine

    def _check_accounts(self, machine: Hypervisor) -> None:
        """Raise InvalidInput if the requested funds or accounts differ from those of the folder's network."""
        if self.settings.balance is not None:
            raise InvalidInput(f"balances of an existing folder cannot be set: omit the balance, {OTHER_FOLDER}")
        missing = [account for account in self.accounts if machine.actor(account.delegated) is None]
        if self.settings.account_count is not None and missing:
            raise InvalidInput(
                f"the folder's network knows {len(self.accounts) - len(missing)} of these {len(self.accounts)} "
                f"accounts: omit the number of accounts, {OTHER_FOLDER}"
            )

    def _recorded_rules(self, record: NetworkRecord) -> NetworkRules:
        """Return a folder's rules. Raises InvalidInput if others are requested."""
        if self.rules not in (None, record.rules):
            raise InvalidInput(
                f"the folder's network is under the rules '{record.rules}', not '{self.rules}': omit the rules, "
                f"{OTHER_FOLDER}"
            )
        if self.settings.hardfork and rules_named(record.rules, self.settings.hardfork).hardfork != record.hardfork:
            raise InvalidInput(
                f"the folder's network has the hardfork {record.hardfork}, not {self.settings.hardfork}: omit the "
                f"hardfork, {OTHER_FOLDER}"
            )
        return rules_named(record.rules, record.hardfork)


def _check_gas_limit(limit: int, rules: NetworkRules) -> Gas:
    """Return a block gas limit that these rules let a network set. Raises InvalidInput."""
    if not rules.features.has_settings:
        raise InvalidInput(
            f"a block gas limit is an option of Ethereum's rules: under the rules '{rules.name}' it is always "
            f"{rules.limits.block_gas:,}; omit the option, or choose the rules '{ETHEREUM}'"
        )
    return Gas(whole_number(limit, "a block gas limit", LEAST_GAS_LIMIT, MAX_GAS_LIMIT))


def _split_origin(origin: Origin | EthereumFork | None) -> tuple[EthereumFork | None, Origin | None]:
    """Return a fork of an Ethereum network, or one of a Filecoin network, or neither."""
    if origin is None:
        return None, None  # the code of forks is not loaded
    from localnet.fork.ethereum_fork import EthereumFork

    return (origin, None) if isinstance(origin, EthereumFork) else (None, origin)


def _check_own(bundle: Bundle | None, number: int, overlay: Overlay | None) -> None:
    """Raise InvalidInput for versions that cannot run this project's actors, which emit events in buffers."""
    own = bundle is None or runtime_marker(dict(bundle.blocks)[bundle.manifest.code("evm")]) is not None
    version = network_version(number, overlay)
    if own and not version.rules.events_in_buffers:
        oldest = next(row.number for row in NETWORK_VERSIONS.values() if row.rules.events_in_buffers)
        raise InvalidInput(
            f"our own bundle runs on nv{oldest} to nv{max(NETWORK_VERSIONS)}, not on nv{number}: use an official one, "
            f"--bundle v{version.actors} (after `hypervisor bundle fetch v{version.actors}`), or another version"
        )
