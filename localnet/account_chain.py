"""Transactions, calls and traces of a network's accounts. `Network` creates the object (`localnet.network`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from bridge.abi.abi import ContractInterface, PrintedAddress
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, LEGACY, Transaction
from hypervisor.errors import InvalidInput
from hypervisor.messages.message import Message
from hypervisor.text import PrintedAmount
from hypervisor.types import Gas, MethodNumber, TokenAmount, octets, whole_number
from localnet.accounts import Account
from localnet.addresses import Target, ethereum_address, filecoin_address
from localnet.calls import simulate
from localnet.calls.overrides import Overrides
from localnet.chain.chain import Chain
from localnet.chain.clock import ChainClock
from localnet.chain.pending import next_block
from localnet.contracts.named_interface import NamedInterface
from localnet.deprecation import renamed
from localnet.development import DevelopmentChain
from localnet.errors import CallFailed
from localnet.ledger.records import TransactionReceipt
from localnet.rules.call_request import CallRequest
from localnet.rules.failures import native_output_of, transaction_failed
from localnet.state.contract_state import nonce_of

if TYPE_CHECKING:
    from bridge.actors.binding import Call, R
    from localnet.contracts.stored_interfaces import StoredInterfaces
    from localnet.state.inspected import InspectedState
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
        from localnet.contracts.abi_entries import readable_interface
        from localnet.contracts.stored_interfaces import MAX_INTERFACES

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

    know_contract = renamed("Network", "know_contract", "register_contract")

    @cached_property
    def _interfaces(self) -> StoredInterfaces:
        from localnet.contracts.stored_interfaces import StoredInterfaces

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
            value=_amount(value),
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
        return CallRequest(receiver, octets(data, "a transaction's data"), _amount(value), from_)

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
        from localnet.state.inspected import InspectedState

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


def _amount(value: int) -> TokenAmount:
    """Return the value of a message in attoFIL; the rules check its bounds."""
    return TokenAmount(whole_number(value, "a value", None, unit="attoFIL"))


def _gas(limit: int) -> Gas:
    return Gas(whole_number(limit, "a gas limit", None))
