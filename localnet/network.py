"""A local network in this process: accounts, transactions, calls, blocks and contracts.

    with Network() as network:
        counter = network.deploy("Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1

Each transaction is mined immediately in its own block, unless `automine` is off. `localnet.rpc` serves a network over
JSON-RPC. A network may be used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from bridge.abi.abi import ContractInterface, PrintedAddress
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.block import ETHEREUM
from bridge.ethereum.transactions import DYNAMIC_FEE, LEGACY, Transaction
from hypervisor.errors import InvalidInput
from hypervisor.machine.opening import IN_MEMORY
from hypervisor.messages.message import Message
from hypervisor.text import PrintedAmount, one_line
from hypervisor.types import Gas, MethodNumber, TokenAmount, octets, whole_number
from localnet.accounts import Account
from localnet.addresses import Target, ethereum_address, filecoin_address
from localnet.calls import simulate
from localnet.calls.overrides import Overrides
from localnet.chain.block_production import next_block
from localnet.chain.chain import Chain
from localnet.chain.clock import NO_TIME_TRAVEL, ChainClock
from localnet.contracts.contract import Artifact, Contract, decoding_custom_errors
from localnet.contracts.named_interface import NamedInterface
from localnet.development import DevelopmentChain
from localnet.errors import CallFailed
from localnet.ledger.records import TransactionReceipt
from localnet.opening import NetworkSettings, Opening
from localnet.rules.facts import CallRequest
from localnet.rules.parts import native_output_of, transaction_failed
from localnet.state.controls import nonce_of

if TYPE_CHECKING:
    from bridge.actors.binding import Call, R
    from localnet.contracts.named_interface import StoredInterfaces
    from localnet.contracts.native_actor import NativeActors
    from localnet.fork.forking import ForkSource
    from localnet.miners.miner import Miner
    from localnet.state.inspection import InspectedState
    from localnet.traces.changes import StateChanges
    from localnet.traces.guest_profile import GuestProfile
    from localnet.traces.trace import EpochTrace, Trace

_MAX_METHOD: Final = (1 << 64) - 1


class AccountChain(DevelopmentChain):
    """A chain with unlocked accounts, and the interfaces of contracts that its traces know."""

    def __init__(self, chain: Chain, clock: ChainClock, accounts: tuple[Account, ...]) -> None:
        super().__init__(chain, clock)
        self.accounts = accounts
        self._by_address = {account.address: account for account in accounts}

    # --- facts ------------------------------------------------------------------------------------------------

    def account(self, address: bytes) -> Account | None:
        """Return the unlocked account with an Ethereum address."""
        return self._by_address.get(EthAddress(address))

    def balance(self, target: Target) -> PrintedAmount:
        """Return the balance of an account, contract or actor in attoFIL, 0 if there is none. It prints in FIL."""
        return self.machine.balance(filecoin_address(target))

    def nonce(self, target: Target) -> int:
        """Return the next nonce of an account, or a contract's Ethereum nonce; 0 if there is none."""
        return nonce_of(self.machine, filecoin_address(target))

    def address(self, target: Target) -> EthAddress:
        """Return the Ethereum address of a target: its f410 address if it has one, else the masked ID."""
        return PrintedAddress(ethereum_address(self.machine, target))

    # --- interfaces -------------------------------------------------------------------------------------------

    def add_interface(self, abi: Sequence[Any], name: str = "contract", address: Target | None = None) -> None:
        """Register an ABI for traces: for the contract at an address, or for every contract with these functions.

        Unreadable entries are ignored. Raises InvalidInput for an invalid ABI, or if too many are registered.
        """
        from localnet.contracts.argument_texts import readable_interface
        from localnet.contracts.named_interface import MAX_INTERFACES

        interface, at = readable_interface(abi), None if address is None else self.address(address)
        named = NamedInterface(name, interface, None if at is None else f"0x{at.hex()}")
        if not self._interfaces.add(name if at is None else EthAddress(bytes(at)), named):
            raise InvalidInput(f"{MAX_INTERFACES} interfaces are stored, which is the maximum; this one was not added")

    @property
    def interfaces(self) -> tuple[NamedInterface, ...]:
        """Registered contract interfaces."""
        return tuple(self._interfaces.known.values())

    def register_contract(self, address: EthAddress, interface: ContractInterface, name: str) -> None:
        """Register the interface of a contract for traces, unless the maximum number is reached."""
        named = NamedInterface(name or "contract", interface, f"0x{address.hex()}")
        self._interfaces.add(EthAddress(bytes(address)), named)

    @cached_property
    def _interfaces(self) -> StoredInterfaces:
        from localnet.contracts.named_interface import StoredInterfaces

        return StoredInterfaces(self.machine.base)

    # --- transactions -----------------------------------------------------------------------------------------

    def send(
        self,
        to: Target | None,
        value: int = 0,
        data: bytes = b"",
        *,
        sender: Target | None = None,
        gas_limit: int | None = None,
    ) -> TransactionReceipt:
        """Send a transaction from an account (default: the first unlocked one) and mine it in a new block.

        A sender without a key is impersonated, native actors too (`submit_unsigned`). `to` is None to create a
        contract; `value` is in attoFIL; the gas limit is estimated by default. Raises TransactionFailed if execution
        fails, TransactionRefused if it is rejected, CallFailed if gas estimation fails, and UnknownTransaction if
        `automine` is off: use `submit` then.
        """
        request = self._request(to, data, value, sender)
        data = request.data
        account = sender if isinstance(sender, Account) else self.account(request.sender)
        address = to_filecoin(request.sender)
        gas_limit = self.gas_limit(request) if gas_limit is None else _gas(gas_limit)
        premium, is_dynamic = self.default_premium, DYNAMIC_FEE in self.rules.features.transaction_types
        fee = 2 * self.base_fee + premium
        transaction = Transaction(
            type=DYNAMIC_FEE if is_dynamic else LEGACY,
            chain_id=self.chain_id,
            nonce=self.pending_nonce(address),
            to=request.to,
            value=request.value,
            data=data,
            gas_limit=gas_limit,
            max_fee=fee,
            max_priority_fee=premium if is_dynamic else fee,
        )
        if account is None:
            return self._receipt_of(self.submit_unsigned_transaction(transaction, request.sender))
        return self._receipt_of(self.submit(account.sign(transaction).raw()))

    def send_native(
        self,
        to: Target,
        method: int = 0,
        params: bytes = b"",
        *,
        value: int = 0,
        sender: Target | None = None,
        gas_limit: int | None = None,
    ) -> TransactionReceipt:
        """Send a message from an account's native (f1) address to a method of an actor, signed with its key.

        Other senders are impersonated. `params` are CBOR, `value` is in attoFIL. Raises the errors of `send` except
        CallFailed.
        """
        sender = sender or self.accounts[0]
        from_ = sender.native if isinstance(sender, Account) else filecoin_address(sender)
        premium = self.default_premium
        message = Message(
            filecoin_address(to),
            from_,
            nonce=self.pending_nonce(from_),
            value=self._amount(value),
            method=MethodNumber(whole_number(method, "a method's number", 0, _MAX_METHOD)),
            params=octets(params, "parameters"),
            gas_limit=self.rules.limits.message_gas if gas_limit is None else _gas(gas_limit),
            gas_fee_cap=TokenAmount(2 * self.base_fee + premium),
            gas_premium=premium,
        )
        if isinstance(sender, Account):
            return self._receipt_of(self.submit_native(sender.sign_native(message)))
        return self._receipt_of(self.submit_unsigned(message))

    def invoke(
        self,
        to: Target,
        call: Call[R],
        *,
        value: int = 0,
        sender: Account | None = None,
        gas_limit: int | None = None,
    ) -> R:
        """Send a message that calls an actor's method by its binding (`bridge.bindings`) and return its result.

        Example: `network.invoke(wallet, multisig.approve(7, b""))`. `value` is in attoFIL. Raises the errors of
        `send_native`, and ValueError if the return value does not match the binding.
        """
        limit = self.rules.limits.large_message_gas if gas_limit is None else gas_limit
        receipt = self.send_native(to, call.method, call.params, value=value, sender=sender, gas_limit=limit)
        return call.decode_return(receipt.execution.receipt.return_data)

    def ask(self, to: Target, call: Call[R], *, sender: Account | None = None) -> R:
        """Call an actor's method without a message and return its result. Raises CallFailed, ValueError."""
        account = sender or self.accounts[0]
        message = Message(filecoin_address(to), account.native, method=call.method, params=call.params)
        return call.decode_return(native_output_of(self.rules, self.machine.call(message)))

    def gas_limit(self, request: CallRequest) -> Gas:
        """Estimate the default gas limit of a transaction.

        Raises CallFailed, and TransactionRefused for insufficient funds.
        """
        with self._explaining_failures(request):
            return simulate.gas_limit(self.machine, request, self._next_block())

    def receipt(self, transaction_hash: bytes) -> TransactionReceipt:
        """Return the receipt of a mined transaction. Raises UnknownTransaction, also for a pending one."""
        return replace(super().receipt(transaction_hash), tracer=self._trace)

    def _receipt_of(self, transaction_hash: bytes) -> TransactionReceipt:
        if self.chain.deferred and self.automine:
            self.mine()
        receipt = self.receipt(transaction_hash)
        if not receipt.succeeded:
            raise transaction_failed(self.rules, receipt)
        return receipt

    # --- reading ----------------------------------------------------------------------------------------------

    def call(self, to: Target | None, data: bytes = b"", value: int = 0, *, sender: Target | None = None) -> bytes:
        """Call an address without a transaction and return the output.

        `value` is in attoFIL. Raises CallFailed, AddressError.
        """
        request = self._request(to, data, value, sender)
        with self._explaining_failures(request):
            return simulate.call(self.machine, request)

    def estimate_gas(
        self, to: Target | None, data: bytes = b"", value: int = 0, *, sender: Target | None = None
    ) -> Gas:
        """Estimate a sufficient gas limit; `value` is in attoFIL. Raises CallFailed, AddressError."""
        request = self._request(to, data, value, sender)
        with self._explaining_failures(request):
            return simulate.estimate(self.machine, request, overrides=self._next_block())

    def _next_block(self) -> Overrides:
        return Overrides(block=next_block(self, self.next_timestamp))

    def _request(self, to: Target | None, data: bytes, value: int, sender: Target | None) -> CallRequest:
        receiver = None if to is None else self.address(to)
        from_ = self.accounts[0].address if sender is None else self.address(sender)
        return CallRequest(receiver, octets(data, "a transaction's data"), self._amount(value), from_)

    def _amount(self, value: int) -> TokenAmount:
        """Return the value of a message in attoFIL; the rules check its bounds."""
        return TokenAmount(whole_number(value, "a value", None, unit=self.rules.unit))

    def trace(self, transaction_hash: bytes) -> Trace:
        """Return the call tree of an executed transaction, across both runtimes. Raises UnknownTransaction."""
        return self._trace(self.receipt(transaction_hash))

    def changes(self, transaction_hash: bytes, most: int = 500) -> StateChanges:
        """Return the first `most` state changes of a transaction, with the values before and after.

        Raises UnknownTransaction.
        """
        from localnet.traces.changes import StateChanges, message_changes

        found = message_changes(self.chain, self.receipt(transaction_hash))
        return StateChanges.first(f"0x{transaction_hash.hex()}", found, most)

    def epoch_changes(self, epoch: int, most: int = 500) -> StateChanges:
        """Return the first `most` state changes of an epoch, including reward and cron. Raises UnknownBlock."""
        from localnet.traces.changes import StateChanges, epoch_changes

        return StateChanges.first(f"epoch {epoch}", epoch_changes(self.chain, self.executed_at(epoch)), most)

    def inspect(self, path: str = "", most: int = 100) -> InspectedState:
        """Return the value at a path of actors, fields and entries, named as in the actors' schemas.

        Example: `network.inspect("f04/state/claims")`. Maps and lists show at most `most` entries. Raises
        PathNotFound, InvalidInput.
        """
        from localnet.state.actor_interfaces import StoredSchemas
        from localnet.state.inspection import InspectedState

        return InspectedState.at(self.machine, path, most, StoredSchemas.of_machine(self.machine))

    def profile(self, transaction_hash: bytes) -> GuestProfile:
        """Profile a transaction's gas and time by native function and syscall. Raises UnknownTransaction."""
        from localnet.traces.guest_profile import guest_profile

        return guest_profile(self.chain, self.receipt(transaction_hash))

    def epoch_trace(self, epoch: int) -> EpochTrace:
        """Return the call trees of an epoch's implicit messages, reward and cron. Raises UnknownBlock."""
        from localnet.traces.trace import epoch_trace

        return epoch_trace(self.chain, self.executed_at(epoch), self.interfaces)

    @contextmanager
    def _explaining_failures(self, request: CallRequest) -> Iterator[None]:
        """Add the call tree to failures of the request inside."""
        try:
            yield
        except CallFailed as failure:
            from localnet.traces.failed_call import failed_call

            failure.retrace = lambda failed: failed_call(self.machine, request, failed, self.interfaces)
            raise

    def _trace(self, receipt: TransactionReceipt) -> Trace:
        from localnet.traces.trace import trace

        return trace(self.chain, receipt, self.interfaces)


def _gas(limit: int) -> Gas:
    return Gas(whole_number(limit, "a gas limit", None))


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
