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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from warnings import warn

from bridge.addresses import EthAddress, to_filecoin
from bridge.transaction_messages import message_from
from bridge.transactions import DYNAMIC_FEE, Transaction
from hypervisor.argument_checks import octets, whole_number
from hypervisor.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.message import Message
from hypervisor.migration_nv29 import StreamSettings
from hypervisor.opening import AUTO, IN_MEMORY
from hypervisor.types import Gas, MethodNumber, TokenAmount
from localnet.accounts import DERIVATION_PATH, TEST_MNEMONIC, Account, accounts
from localnet.addresses import Target, ethereum_address, filecoin_address
from localnet.calls import simulate
from localnet.chain import admission
from localnet.chain.clock import ChainClock, Clock
from localnet.contracts.contract import Artifact, Contract, named_errors
from localnet.development import DevelopmentChain
from localnet.errors import CallFailed, UnknownBlock
from localnet.fork.forking import ForkSource
from localnet.ledger.genesis import DEFAULT_BALANCE, NOTHING_MORE, GenesisOptions
from localnet.ledger.records import GENESIS_PARENT, TransactionReceipt
from localnet.ledger.upgrades import NO_UPGRADES, UpgradePlan
from localnet.opening import Opening
from localnet.rules.call_request import CallRequest
from localnet.rules.failures import returned_natively, transaction_failed
from localnet.state.contract_state import nonce_of
from localnet.traces.failed_call import failed_call
from localnet.traces.trace import EpochTrace, Trace, epoch_trace, trace
from localnet.traces.trace_words import NamedInterface

if TYPE_CHECKING:
    from bridge.binding import Call, R
    from localnet.contracts.native_actor import NativeActors
    from localnet.miners.miner import Miner

_LARGEST_METHOD: Final = (1 << 64) - 1
MOST_INTERFACES: Final = 1_000
"""The most interfaces of contracts that are kept (`Network.add_interface`)."""


class Network(DevelopmentChain):
    """A local network: accounts with funds, a chain, a mempool, a machine."""

    def __init__(
        self,
        path: str | Path = IN_MEMORY,
        *,
        bundle: Bundle | str | Path | None = None,
        evm: str = AUTO,
        network: int | None = None,
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
        bare: bool = False,
        genesis: GenesisOptions = NOTHING_MORE,
        fork: ForkSource | None = None,
        streams: StreamSettings | None = None,
        beginning: GenesisOptions | None = None,
    ) -> None:
        """Open the network in a folder, or make a new one, in a new folder or `:memory:`.

        `bundle` is a bundle of built-in actors or its CAR file (default: this project's own), `network` the network
        version (default: the newest, or the newest with the actors of the bundle that is named); a folder keeps both.
        `rules` are `filecoin` (the default) or `ethereum`, with a `hardfork` of Ethereum (default: the newest); a
        folder keeps them, too. `evm` says who runs contracts (`hypervisor.machine`). The mnemonic's accounts below the
        path are unlocked (default: ten); in a new network each has `balance` attoFIL (default: 10,000 FIL) under both
        of its addresses; a folder's accounts have what they have. `clock` gives Unix seconds. Storage proofs are taken
        for valid unseen (`AcceptProofs`). `upgrades` are planned by epoch
        (`upgrade` says what one does); a folder keeps them, too, and may get more. With `facade`, contracts and
        transactions call built-in actors by their Solidity interfaces (`bridge.facade_runtime`), as on no real network;
        a folder does not keep that. With `deferred`, receipts are known one block later, as on the network. A new
        network has the chain id 31415926 (31337 under Ethereum's rules), or `chain_id`, and the contracts of
        `localnet.preinstalled` unless it is `bare`; `genesis` says what else it begins with. A new network may begin
        as a `fork` of another one (`localnet.fork.forking`), with its state, actors, network version and chain id;
        accounts with less than 1 FIL there get `balance`. `streams` say who governs the block reward from network
        version 29 on, and how fast it is split (`localnet.chain.streams`): at the genesis, or at the planned upgrade
        to that version. `beginning` is the former name of `genesis`.

        Raises InvalidInput for a folder of another bundle, network version, chain id, `evm` or rules, of other funds or
        fewer accounts, for a count or a balance that cannot be, for an upgrade that cannot be or comes too late, and
        the errors of `Hypervisor.open`.
        """
        if beginning is not None:
            warn("Network(beginning=...) is now Network(genesis=...)", DeprecationWarning, stacklevel=2)
            genesis = beginning
        counted, funds = account_count is not None, DEFAULT_BALANCE if balance is None else balance
        whole_number(funds, "the balance of each account", None, unit="attoFIL")
        count = whole_number(account_count, "a number of accounts", 1) if counted else 10
        self.accounts = accounts(mnemonic, count, derivation_path)
        opening = Opening(
            path, bundle, network, evm, self.accounts, funds, genesis, chain_id, bare, rules, hardfork, fork,
            streams=streams, funded=balance is not None, counted=counted,
        )  # fmt: skip
        super().__init__(opening.chain(int(clock()), upgrades), ChainClock(clock))
        if facade:
            from bridge.facade_runtime import offer_facade

            offer_facade(self.chain.machine)
        self.chain.deferred = deferred
        self._by_address = {account.address: account for account in self.accounts}
        self._interfaces: dict[EthAddress | str, NamedInterface] = {}
        if self.chain.index.miners_to_come():
            from localnet.miners.miner import create_first_miners

            create_first_miners(self)

    @classmethod
    def fork(cls, url: str, epoch: int | None = None, path: str | Path = IN_MEMORY, **options: Any) -> Self:
        """A network that begins as another one is: at the head of a node, or at an epoch. See `Network`.

        Raises the errors of `Network`; NodeError where the node does not answer.
        """
        return cls(path, fork=ForkSource(url, epoch), **options)

    # --- facts ------------------------------------------------------------------------------------------------

    def account(self, address: bytes) -> Account | None:
        """The unlocked account with an Ethereum address."""
        return self._by_address.get(EthAddress(address))

    def balance(self, target: Target) -> TokenAmount:
        """attoFIL of an account, contract or actor; 0 where there is none."""
        actor = self.machine.actor(filecoin_address(target))
        return TokenAmount(0) if actor is None else actor.balance

    def nonce(self, target: Target) -> int:
        """The next nonce: of an account, or Ethereum's of a contract; 0 where there is none."""
        return nonce_of(self.machine, filecoin_address(target))

    def address(self, target: Target) -> EthAddress:
        """The Ethereum address of a target: f410 where it has one, else the masked ID."""
        return ethereum_address(self.machine, target)

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
        """A contract that is there already, with the interface of its artifact. Raises AddressError, InvalidInput."""
        if not isinstance(artifact, Artifact):
            artifact = Artifact.load(artifact)
        return self._known(self.address(address), artifact)

    def add_interface(self, abi: Sequence[Any], name: str = "contract", address: Target | None = None) -> None:
        """Let traces know an ABI: a contract's, or with no address every contract's that has such functions.

        Entries that cannot be read are left out. Raises InvalidInput for what is no ABI, or one too many.
        """
        from localnet.contracts.abi_entries import readable_interface

        interface, at = readable_interface(abi), None if address is None else self.address(address)
        if len(self._interfaces) >= MOST_INTERFACES:
            raise InvalidInput(f"{MOST_INTERFACES} interfaces are known, and no more are kept")
        self._interfaces[name if at is None else at] = NamedInterface(
            name, interface, None if at is None else f"0x{at.hex()}"
        )

    @property
    def interfaces(self) -> tuple[NamedInterface, ...]:
        """The interfaces of contracts that traces know."""
        return tuple(self._interfaces.values())

    def _known(self, address: EthAddress, artifact: Artifact) -> Contract:
        """A contract, whose interface traces then know."""
        named = NamedInterface(artifact.name or "contract", artifact.interface, f"0x{address.hex()}")
        self._interfaces[address] = named
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
        claims: bool = False,
        expiration: int | None = None,
    ) -> Miner:
        """A storage miner of an account (default: the first) with so many live sectors of 2 KiB, power and pledge.

        With `claims` each sector holds a verified client's piece; `expiration` is an epoch. Nothing is sealed:
        `localnet.miners.miner` says where the sectors come from. On an official bundle this mines up to two days of
        null rounds. Raises TransactionFailed, TransactionRefused.
        """
        from localnet.miners.miner import create_miner

        return create_miner(self, owner or self.accounts[0], sectors, claims=claims, expiration=expiration)

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
        """A transaction of an account (default: the first unlocked one), executed in a block of its own.

        A sender without a key here is impersonated, actors too (`submit_unsigned`). `to` is None to create a contract;
        value in attoFIL; the gas limit is estimated by default. Raises
        TransactionFailed where the execution fails, TransactionRefused where there is none, CallFailed where already
        the estimate of its gas fails; UnknownTransaction where it waits, with `automine` off: `submit` is for that.
        """
        request = self._request(to, data, value, sender)
        data = request.data
        account = sender if isinstance(sender, Account) else self.account(request.sender)
        address = to_filecoin(request.sender)
        gas_limit = self.gas_limit(request) if gas_limit is None else _gas(gas_limit)
        premium = self.usual_premium
        transaction = Transaction(
            type=DYNAMIC_FEE,
            chain_id=self.chain_id,
            nonce=self.pending_nonce(address),
            to=request.to,
            value=value,
            data=data,
            gas_limit=gas_limit,
            max_fee=2 * self.base_fee + premium,
            max_priority_fee=premium,
        )
        if account is None:
            return self._receipt_of(self.submit_unsigned(message_from(transaction, address)))
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
        """A message of an account's native (f1) address to a method of an actor, signed with its key.

        A sender that is no account of ours is impersonated. `params` are CBOR, value in attoFIL. Raises the errors of
        `send` but CallFailed.
        """
        sender = sender or self.accounts[0]
        from_ = sender.native if isinstance(sender, Account) else filecoin_address(sender)
        premium = self.usual_premium
        message = Message(
            filecoin_address(to),
            from_,
            nonce=self.pending_nonce(from_),
            value=_amount(value),
            method=MethodNumber(whole_number(method, "a method's number", 0, _LARGEST_METHOD)),
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
        """A message that calls an actor's method by its binding (`bridge.bindings`); what the actor answers.

        `network.invoke(wallet, multisig.approve(7, b""))`. Value in attoFIL; sender and errors as of `send_native`,
        and ValueError for an answer that is not the method's.
        """
        limit = self.rules.limits.large_message_gas if gas_limit is None else gas_limit
        receipt = self.send_native(to, call.method, call.params, value=value, sender=sender, gas_limit=limit)
        return call.answer(receipt.execution.receipt.return_data)

    def ask(self, to: Target, call: Call[R], *, sender: Account | None = None) -> R:
        """What an actor's method would answer to an account, with nothing kept. Raises CallFailed, ValueError."""
        account = sender or self.accounts[0]
        message = Message(filecoin_address(to), account.native, method=call.method, params=call.params)
        return call.answer(returned_natively(self.rules, self.machine.call(message)))

    def gas_limit(self, request: CallRequest) -> Gas:
        """The gas limit of a transaction that names none. Raises TransactionRefused for funds, CallFailed."""
        admission.check_funds(self.machine, to_filecoin(request.sender), request.sender, request.value)
        with self._explaining_failures(request):
            return simulate.estimate(self.machine, request)

    def receipt(self, transaction_hash: bytes) -> TransactionReceipt:
        """The executed transaction. Raises UnknownTransaction, also while it waits."""
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
        """What a call returns, with nothing kept; value in attoFIL. Raises CallFailed, AddressError."""
        request = self._request(to, data, value, sender)
        with self._explaining_failures(request):
            return simulate.call(self.machine, request)

    def estimate_gas(
        self, to: Target | None, data: bytes = b"", value: int = 0, *, sender: Target | None = None
    ) -> Gas:
        """A gas limit that suffices; value in attoFIL. Raises CallFailed, AddressError."""
        request = self._request(to, data, value, sender)
        with self._explaining_failures(request):
            return simulate.estimate(self.machine, request)

    def _request(self, to: Target | None, data: bytes, value: int, sender: Target | None) -> CallRequest:
        receiver = None if to is None else self.address(to)
        from_ = self.accounts[0].address if sender is None else self.address(sender)
        return CallRequest(receiver, octets(data, "a transaction's data"), _amount(value), from_)

    def trace(self, transaction_hash: bytes) -> Trace:
        """The call tree of an executed transaction, across both runtimes. Raises UnknownTransaction."""
        return self._trace(self.receipt(transaction_hash))

    def epoch_trace(self, epoch: int) -> EpochTrace:
        """The calls behind the messages of an epoch's tipset: reward and cron. Raises UnknownBlock."""
        tipset = self.chain.index.tipset_before(epoch) if 0 <= epoch <= self.head.height else None
        if tipset is None or tipset.height != epoch or tipset.parent == GENESIS_PARENT:
            raise UnknownBlock(f"no tipset was executed at epoch {epoch}: it is a null round, or not of this chain")
        return epoch_trace(self.chain, tipset, self.interfaces)

    @contextmanager
    def _explaining_failures(self, request: CallRequest) -> Iterator[None]:
        """A request whose failure can tell its calls."""
        try:
            yield
        except CallFailed as failure:
            failure.again = lambda failed: failed_call(self.machine, request, failed, self.interfaces)
            raise

    def _trace(self, receipt: TransactionReceipt) -> Trace:
        return trace(self.chain, receipt, self.interfaces)

    # --- the end ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Release the folder. Everything that has a receipt is in it."""
        self.machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _amount(value: int) -> TokenAmount:
    """attoFIL of a message, whose bounds are for the rules to say."""
    return TokenAmount(whole_number(value, "a value", None, unit="attoFIL"))


def _gas(limit: int) -> Gas:
    return Gas(whole_number(limit, "a gas limit", None))
