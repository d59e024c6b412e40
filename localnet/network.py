"""A local Filecoin network in this process.

    with Network() as network:
        counter = network.deploy("Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1

Each transaction is mined immediately in its own block, unless `automine` is off. `localnet.rpc` serves a network over
JSON-RPC. A network may be used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import InvalidInput
from hypervisor.machine.opening import IN_MEMORY
from hypervisor.text import one_line
from localnet.account_chain import AccountChain
from localnet.accounts import Account
from localnet.addresses import Target
from localnet.chain.clock import NO_TIME_TRAVEL, ChainClock
from localnet.contracts.contract import Artifact, Contract, decoding_custom_errors
from localnet.opening import Opening
from localnet.rules.failures import transaction_failed
from localnet.settings import NetworkSettings

if TYPE_CHECKING:
    from localnet.contracts.native_actor import NativeActors
    from localnet.fork.forking import ForkSource
    from localnet.miners.miner import Miner


class Network(AccountChain):
    """A local network: funded accounts, a chain, a mempool and a machine.

    Amounts are in attoFIL, fees in attoFIL per gas, time in Unix seconds, heights in epochs. Rejected and failed
    transactions raise the errors of `localnet.errors`; invalid arguments raise InvalidInput.

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
        self, path: str | Path = IN_MEMORY, *, settings: NetworkSettings | None = None, **options: Any
    ) -> None:
        """Open the network in a folder, or create one in a new folder or in memory (`:memory:`).

        Settings are the fields of `NetworkSettings`, as an object, as keyword arguments, or both. Keyword arguments
        override the object. Storage proofs are accepted without a check, unless `proofs` is a verifier.

        Raises TypeError for an unknown setting, NodeError if a forked node does not respond, and the errors of
        `Hypervisor.open`. Raises InvalidInput for a value out of range, or one that contradicts the folder's settings.
        """
        if not isinstance(path, str | PathLike):
            raise InvalidInput(f"{path!r:.60} cannot be the folder of a network: expected a path or ':memory:'")
        if not isinstance(settings, NetworkSettings | None):
            raise InvalidInput(f"{settings!r:.60} cannot be the settings of a network: expected NetworkSettings")
        chosen = (settings or NetworkSettings()).with_options(options)
        opening = Opening.of(path, chosen)
        self._opening, chain_clock = opening, ChainClock(chosen.clock)
        super().__init__(opening.chain(chain_clock.now()), chain_clock, opening.accounts)
        if self.chain.is_new_fork:
            try:
                self._begin_fork()
            except BaseException:
                self.close()
                raise
        if chosen.facade:
            from bridge.actors.facade_runtime import enable_facade

            enable_facade(self.chain.machine)
        if chosen.precompiles:
            from localnet.contracts.registered_precompiles import offer_precompiles

            try:
                offer_precompiles(self.chain.machine, chosen.precompiles)
            except BaseException:
                self.close()
                raise
        self.chain.deferred = chosen.deferred
        if chosen.parallel != 1:
            from hypervisor.machine.parallel import Parallel
            from localnet.replay.parallel_candidates import ParallelCandidates

            self.chain.start_block = partial(ParallelCandidates.start, Parallel(chosen.parallel))
        if self.chain.index.planned_miners():
            from localnet.miners.miner import create_first_miners

            create_first_miners(self)

    @classmethod
    def fork(cls, url: str, epoch: int | None = None, path: str | Path = IN_MEMORY, **options: Any) -> Self:
        """Return a fork of another network, at the head of a node or at an epoch.

        With `rules="ethereum"` the node may be any Ethereum node, and the epoch is a block number. A negative epoch
        counts back from the head. Raises the errors of `Network`, and NodeError if the node does not respond.
        """
        from localnet.fork.forking import ForkSource

        return cls(path, fork=ForkSource(url, epoch), **options)

    def _begin_fork(self) -> None:
        """Set the clock to the time of the forked block, and execute its transactions before the selected one."""
        self._clock.set(self.head.timestamp, self.head.timestamp)
        fork = self.chain.ethereum_fork
        block = None if fork is None else fork.first_block
        if block is None:
            return
        self.automine, self.mempool.first_come = False, True
        for transaction in block.transactions:
            self.submit(transaction)
        self.set_next_timestamp(block.timestamp)
        self.mine()
        self.automine, self.mempool.first_come = True, False

    def reset(self, fork: ForkSource | None = None) -> None:
        """Reset the network to a fork, or without one to a new genesis.

        Pending transactions, snapshots and time travel are discarded; automine is unchanged. Under Ethereum's rules
        the chain ID is unchanged, except that a network that was not a fork takes that of its fork. Under other rules
        the chain returns to its first block, and `fork` must be None. If it raises UnfitNode or InvalidInput, the
        chain is unchanged.
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
        """Deploy a contract from an artifact (a file or its parsed content) with constructor arguments.

        Raises the errors of `send`, InvalidInput for an invalid artifact, AbiMismatch for arguments of the wrong
        type.
        """
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        init_code = artifact.interface.encode_constructor(artifact.bytecode, *arguments)
        with decoding_custom_errors(artifact.interface):
            receipt = self.send(None, value, init_code, sender=sender)
        address = receipt.contract_address
        if address is None:
            raise transaction_failed(self.rules, receipt)
        return self._register_contract(address, artifact)

    def contract(self, address: Target, artifact: str | Path | Mapping[str, Any] | Artifact) -> Contract:
        """Return an existing contract with the interface of its artifact. Raises AddressError, InvalidInput."""
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        return self._register_contract(self.address(address), artifact)

    def _register_contract(self, address: EthAddress, artifact: Artifact) -> Contract:
        """Register a contract, whose interface traces then use."""
        self.register_contract(address, artifact.interface, artifact.name)
        return Contract(self, address, artifact.interface)

    @property
    def actors(self) -> NativeActors:
        """Native actors, built-in and installed, by interface."""
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
        """Create a storage miner for an account (default: the first) with `sectors` live sectors, power and pledge.

        A call adds at most 10,000 sectors; `Miner.commit` adds more. `sector_size` is in bytes: 2 KiB, 8 MiB, 512 MiB,
        32 GiB or 64 GiB, if the bundle's actors accept it. With `claims` each sector contains a verified client's
        piece. `expiration` is an epoch. Sectors are not sealed (see `localnet.miners.miner`). With an official bundle
        this mines up to two days of null rounds. Raises InvalidInput, TransactionFailed, TransactionRefused.
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
        """Close the folder. All transactions with a receipt are stored in it."""
        self.machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
