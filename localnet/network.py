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

        Machine and rules; a folder stores them:

        - `bundle`: bundle of built-in actors or its CAR file (default: this project's own).
        - `network`: network version (default: the newest, or the newest of the named bundle).
        - `overlay`: changed prices and rules, or their file (`hypervisor.overlay_file`); must be named again.
        - `rules`: `filecoin` (default), `lab:NAME,...` (docs/labs) or `ethereum`; `hardfork` (default: the newest).
        - `evm`: executor of contracts (`hypervisor.machine`).
        - `upgrades`: planned upgrades by epoch (see `upgrade`); a folder may get more.
        - `streams`: settings of the reward's streams from network version 29 on (`localnet.chain.streams`).

        New networks:

        - `mnemonic`, its path and `account_count`: unlocked accounts (default: ten). Each gets `balance` attoFIL
          (default: 10,000 FIL) under both of its addresses.
        - `chain_id`: default 31415926, and 31337 under Ethereum's rules.
        - `bare`: without the contracts of `localnet.preinstalled`.
        - `genesis`: further content of the genesis; `beginning` is its former name.
        - `fork`: start from another network's state, actors, version and chain ID (`localnet.fork.forking`).
          Accounts with less than 1 FIL there get `balance`.

        Settings that a folder does not store:

        - `clock`: function that returns Unix seconds.
        - `facade`: call built-in actors by Solidity interfaces (`bridge.facade_runtime`); no real network does.
        - `deferred`: receipts are known one block later, as on the network.
        - `gas_limit`: of all blocks, under Ethereum's rules.
        - `keep_states`: number of recent states that a network in memory retains (default: 4,100, as in anvil).
        - `actor_debugging`: native actors log (`hypervisor.actor_log`), which costs them gas.
        - `read_only`: read a folder's chain, also while a node has it open; changes stay in memory.
        - `parallel`: number of processes that share the messages of a block (`hypervisor.parallel`).
        - `precompiles`: custom precompiles, or names that packages register (docs/precompiles.md).

        Storage proofs are accepted without a check (`AcceptProofs`).

        Raises InvalidInput for values that differ from the folder's, fewer accounts than it has, invalid counts or
        balances, impossible or late upgrades, and the errors of `Hypervisor.open`.
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
