"""`Network`: a local Filecoin network in this process.

    with Network() as network:
        counter = network.deploy("Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1

Every transaction gets a block of its own, at once, unless `automine` is off. The same object serves JSON-RPC
(`localnet.rpc`). It belongs to one thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from warnings import warn

from bridge.addresses import EthAddress
from bridge.ethereum_block import ETHEREUM
from hypervisor.argument_checks import whole_number
from hypervisor.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.migration_nv29 import StreamSettings
from hypervisor.opening import AUTO, IN_MEMORY, named_overlay
from hypervisor.overlay import Overlay
from hypervisor.precompiles import Precompile
from hypervisor.printed import one_line
from hypervisor.rules import canonical_rules
from hypervisor.types import TokenAmount
from localnet.account_chain import AccountChain
from localnet.accounts import DERIVATION_PATH, TEST_MNEMONIC, Account, accounts
from localnet.addresses import Target
from localnet.chain.clock import NO_TIME_TRAVEL, ChainClock, Clock
from localnet.contracts.contract import Artifact, Contract, named_errors
from localnet.fork.ethereum_fork import EthereumFork
from localnet.fork.forking import ForkSource
from localnet.ledger.genesis import DEFAULT_BALANCE, NOTHING_MORE, GenesisOptions
from localnet.ledger.upgrades import NO_UPGRADES, UpgradePlan
from localnet.opening import Opening
from localnet.rules.failures import transaction_failed

if TYPE_CHECKING:
    from localnet.contracts.native_actor import NativeActors
    from localnet.miners.miner import Miner


class Network(AccountChain):
    """A local network: accounts with funds, a chain, a mempool, a machine.

    Money in attoFIL, gas in gas, fees in attoFIL per gas, time in Unix seconds, heights in epochs. What the network
    refuses and what fails on it are the errors of `localnet.errors`; wrong input raises InvalidInput.

    >>> from hypervisor import fil
    >>> from localnet import Network
    >>> with Network() as network:
    ...     alice, bob = network.accounts[:2]
    ...     before = network.balance(bob)
    ...     receipt = network.send(bob, fil(3), sender=alice)
    ...     network.balance(bob) - before, receipt.succeeded, network.block_number
    (3 FIL, True, 1)
    """

    def __init__(
        self,
        path: str | Path = IN_MEMORY,
        *,
        bundle: Bundle | str | Path | None = None,
        evm: str = AUTO,
        network: int | None = None,
        overlay: Overlay | str | Path | None = None,
        rules: str | None = None,
        hardfork: str = "",
        mnemonic: str = TEST_MNEMONIC,
        derivation_path: str = DERIVATION_PATH,
        account_count: int | None = None,
        balance: TokenAmount | None = None,
        clock: Clock = time.time,
        upgrades: UpgradePlan = NO_UPGRADES,
        facade: bool = False,
        deferred: bool = False,
        chain_id: int | None = None,
        gas_limit: int | None = None,
        bare: bool = False,
        genesis: GenesisOptions = NOTHING_MORE,
        fork: ForkSource | None = None,
        streams: StreamSettings | None = None,
        beginning: GenesisOptions | None = None,
        keep_states: int | None = None,
        actor_debugging: bool = False,
        read_only: bool = False,
        parallel: int = 1,
        precompiles: Iterable[Precompile | str] = (),
    ) -> None:
        """Open the network in a folder, or make a new one, in a new folder or `:memory:`.

        `bundle` is a bundle of built-in actors or its CAR file (default: this project's own), `network` the network
        version (default: the newest, or the newest with the actors of the bundle that is named); a folder keeps both.
        An `overlay` (itself, or its file) changes prices and rules of the network versions (`hypervisor.overlay_file`);
        a folder that was made with one is opened with the same again.
        `rules` are `filecoin` (the default), `lab:NAME,...` for these with labs on (docs/labs), or `ethereum`, with a
        `hardfork` of Ethereum (default: the newest); a folder keeps them, too. `evm` says who runs contracts
        (`hypervisor.machine`). The mnemonic's accounts below the path are unlocked (default: ten); in a new network
        each has `balance` attoFIL (default: 10,000 FIL) under both of its addresses; a folder's accounts have what
        they have. `clock` gives Unix seconds. Storage proofs are taken for valid unseen (`AcceptProofs`). `upgrades`
        are planned by epoch (`upgrade` says what one does); a folder keeps them, too, and may get more. With `facade`,
        contracts and transactions call built-in actors by their Solidity interfaces (`bridge.facade_runtime`), as on
        no real network; a folder does not keep that. With `deferred`, receipts are known one block later, as on the
        network. A new network has the chain id 31415926 (31337 under Ethereum's rules), or `chain_id`, and the
        contracts of `localnet.preinstalled` unless it is `bare`; `genesis` says what else it begins with. Under
        Ethereum's rules its blocks, the first one included, have the `gas_limit`; a folder does not keep that. A new
        network may begin as a `fork` of another one (`localnet.fork.forking`), with its state, actors, network version
        and chain id; accounts with less than 1 FIL there get `balance`. `streams` say who governs the block reward
        from network version 29 on, and how fast it is split (`localnet.chain.streams`): at the genesis, or at the
        planned upgrade to that version. A network in memory keeps the states of its newest blocks, `keep_states` of
        them (default: 4,100, as anvil), those of its snapshots, and all that happened in every block. With
        `actor_debugging`, native actors log (`hypervisor.actor_log`), which they pay gas for; a folder does not keep
        that. With `read_only` a folder's chain is read as it is now, beside a node that has it open, too: what happens
        on this network stays in memory. `parallel` processes share the messages of a block (`hypervisor.parallel`),
        with the same results. Contracts may call the `precompiles`: a user's own, and by their names what
        packages register (docs/precompiles.md); a folder does not keep them. `beginning` is the former name of
        `genesis`.

        Raises InvalidInput for a folder of another bundle, network version, overlay, chain id, `evm` or rules, of other
        funds or fewer accounts, for a count or a balance that cannot be, for an upgrade that cannot be or comes too
        late, and the errors of `Hypervisor.open`.
        """
        if beginning is not None:
            if genesis is not NOTHING_MORE:
                raise TypeError("Network takes genesis or its former name, beginning, not both")
            warn("Network(beginning=...) is now Network(genesis=...)", DeprecationWarning, stacklevel=2)
            genesis = beginning
        counted, funds = account_count is not None, DEFAULT_BALANCE if balance is None else balance
        whole_number(funds, "the balance of each account", None, unit="attoFIL")
        count = whole_number(account_count, "a number of accounts", 1) if counted else 10
        unlocked = accounts(mnemonic, count, derivation_path)
        opening = Opening(
            path, bundle, network, evm, unlocked, funds, genesis, chain_id, bare,
            None if rules is None else canonical_rules(rules), hardfork, fork,
            streams=streams, overlay=named_overlay(overlay), funded=balance is not None, counted=counted,
            keep_states=keep_states, actor_debugging=actor_debugging, read_only=read_only, gas_limit=gas_limit,
        )  # fmt: skip
        self._opening, chain_clock = opening, ChainClock(clock)
        super().__init__(opening.chain(chain_clock.now(), upgrades), chain_clock, unlocked)
        if self.chain.is_new_fork:
            try:
                self._begin_fork()
            except BaseException:
                self.close()
                raise
        if facade:
            from bridge.facade_runtime import offer_facade

            offer_facade(self.chain.machine)
        if precompiles:
            from localnet.contracts.registered_precompiles import offer_precompiles

            try:
                offer_precompiles(self.chain.machine, precompiles)
            except BaseException:
                self.close()
                raise
        self.chain.deferred = deferred
        if parallel != 1:
            from hypervisor.parallel import Parallel
            from localnet.chain.side_by_side import SideBySide

            self.chain.start_block = partial(SideBySide.start, Parallel(parallel))
        if self.chain.index.miners_to_come():
            from localnet.miners.miner import create_first_miners

            create_first_miners(self)

    @classmethod
    def fork(cls, url: str, epoch: int | None = None, path: str | Path = IN_MEMORY, **options: Any) -> Self:
        """Return a network that begins as another one is: at the head of a node, or at an epoch. See `Network`.

        With `rules="ethereum"`, the node may be any Ethereum node, and the epoch is the number of a block. A negative
        epoch counts back from the head. Raises the errors of `Network`; NodeError where the node does not answer.
        """
        return cls(path, fork=ForkSource(url, epoch), **options)

    def _begin_fork(self) -> None:
        """Let the clock begin at the time of the forked block, and execute what comes before a transaction there."""
        self._clock.set(self.head.timestamp, self.head.timestamp)
        origin = self.chain.origin
        block = origin.first_block if isinstance(origin, EthereumFork) else None
        if block is None:
            return
        self.automine, self.mempool.first_come = False, True
        for transaction in block.transactions:
            self.submit(transaction)
        self.set_next_timestamp(block.timestamp)
        self.mine()
        self.automine, self.mempool.first_come = True, False

    def reset(self, fork: ForkSource | None = None) -> None:
        """Begin anew: as another fork, or without one at the genesis of a network of its own.

        Waiting transactions, snapshots and time travel are forgotten; automine stays. Under Ethereum's rules the chain
        ID stays, but a network that was not a fork takes that of its fork. Under other rules the chain goes back to its
        first block, and cannot become another fork. Raises UnfitNode and InvalidInput, with the chain as it was.
        """
        if self.rules.name != ETHEREUM:
            if fork is not None:
                raise InvalidInput(
                    f"a network under the rules '{self.rules.name}' cannot be reset to another fork: start a node with "
                    "--fork-url, or use --rules ethereum"
                )
            first = self.chain.index.tipset(self.chain.index.first)
            self.go_back(first, NO_TIME_TRAVEL)
        else:
            self._restart(fork)
        self.forget_settings()
        self.set_block_interval(None)

    def _restart(self, fork: ForkSource | None) -> None:
        travel = self._clock.travel
        self._clock.go_back(NO_TIME_TRAVEL)
        try:
            self._opening.restart(self.chain, fork, self._clock.now())
        except BaseException:
            self._clock.go_back(travel)
            raise
        self.forget_snapshots()
        self.mempool.clear()
        if self.chain.is_new_fork:
            self._begin_fork()

    # --- contracts and actors ---------------------------------------------------------------------------------

    def deploy(
        self,
        artifact: str | Path | Mapping[str, Any] | Artifact,
        *arguments: Any,
        value: int = 0,
        sender: Target | None = None,
    ) -> Contract:
        """Deploy a compiled contract (a compiler's JSON file, or its content) with its constructor's arguments.

        Raises the errors of `send`, InvalidInput for a file that is no artifact, AbiMismatch for other arguments.
        """
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        init_code = artifact.interface.encode_constructor(artifact.bytecode, *arguments)
        with named_errors(artifact.interface):
            receipt = self.send(None, value, init_code, sender=sender)
        address = receipt.contract_address
        if address is None:
            raise transaction_failed(self.rules, receipt)
        return self._known(address, artifact)

    def contract(self, address: Target, artifact: str | Path | Mapping[str, Any] | Artifact) -> Contract:
        """Return an existing contract with the interface of its artifact. Raises AddressError, InvalidInput."""
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        return self._known(self.address(address), artifact)

    def _known(self, address: EthAddress, artifact: Artifact) -> Contract:
        """Register a contract, whose interface traces then use."""
        self.know_contract(address, artifact.interface, artifact.name)
        return Contract(self, address, artifact.interface)

    @property
    def actors(self) -> NativeActors:
        """Native actors by their interface: users' own, which can be installed here, and built-in ones."""
        from localnet.contracts.native_actor import NativeActors

        return NativeActors(self)

    def create_miner(
        self,
        owner: Account | None = None,
        sectors: int = 1,
        *,
        sector_size: int = 2048,
        claims: bool = False,
        expiration: int | None = None,
    ) -> Miner:
        """Create a storage miner of an account (default: the first) with N live sectors, power and pledge.

        `sector_size` is in bytes: 2 KiB, 8 MiB, 512 MiB, 32 GiB or 64 GiB, of those that the bundle's actors accept.
        With `claims` each sector holds a verified client's piece; `expiration` is an epoch. Nothing is sealed:
        `localnet.miners.miner` says where the sectors come from. On an official bundle this mines up to two days of
        null rounds. Raises InvalidInput, TransactionFailed, TransactionRefused.
        """
        from localnet.miners.miner import create_miner

        return create_miner(
            self, owner or self.accounts[0], sectors, sector_size=sector_size, claims=claims, expiration=expiration
        )

    def __repr__(self) -> str:
        rules = f"{self.rules.name}, network version {self.version}"
        return one_line("Network", rules, f"block {self.block_number}", f"{len(self.accounts)} accounts")

    # --- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Release the folder. Everything that has a receipt is in it."""
        self.machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
