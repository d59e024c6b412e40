"""The authorizations of a transaction: they set the delegations of their signers (EIP-7702)."""

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.delegations import authority_of, is_delegation
from bridge.ethereum.transactions import Authorization, Transaction
from hypervisor.types import ActorID
from runtimes.evm.ethereum import prices
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.forks import Fork


class Authorizations:
    """Applies the authorizations of one transaction. Invalid ones are skipped."""

    def __init__(self, calls: EthereumCalls, transaction: Transaction, sender: EthAddress, fork: Fork) -> None:
        self._calls = calls
        self._accounts: Accounts = calls.accounts
        self._transaction = transaction
        self._sender = sender
        self._fork = fork
        self._written: set[EthAddress] = set()
        self._delegated: set[EthAddress] = set()
        """Accounts whose delegation is paid for: set by this transaction, or before it."""

    def apply(self) -> int:
        """Set the delegations; return the gas to refund for existing accounts. Raises OutOfGas (EIP-8037)."""
        refund = 0
        accounts, chain_id = self._accounts, self._calls.machine.context.chain_id
        for authorization in self._transaction.authorizations:
            signer = authority_of(authorization, chain_id)
            if signer is None:
                continue
            accounts.warm(signer)
            actor = accounts.find(signer)
            code = accounts.code(actor)
            if code and not is_delegation(code):
                continue
            if authorization.nonce != (0 if actor is None else accounts.nonce(actor)):
                continue
            if self._calls.state_gas is not None:
                self._charge(authorization, signer, actor, bool(code))
            elif actor is not None:
                refund += prices.AUTHORIZATION_REFUND
            if actor is None:
                actor = accounts.create_account(signer)
            accounts.set_delegation(actor, authorization.address if any(authorization.address) else None)
            accounts.set_nonce(actor, authorization.nonce + 1)
        return refund

    def _charge(self, authorization: Authorization, signer: EthAddress, actor: ActorID | None, delegates: bool) -> None:
        """Charge for the first write to an account, for a new account and for a new delegation."""
        fork, gas, size = self._fork, self._fork.gas, 0
        meter, transaction = self._calls.state_gas, self._transaction
        assert meter is not None
        if delegates:
            self._delegated.add(signer)
        is_paid = signer == self._sender or (signer == transaction.to and transaction.value)
        execution = 0 if is_paid or signer in self._written else fork.account_write
        self._written.add(signer)
        if actor is None or self._accounts.is_empty(actor):
            size += gas.account_bytes
        if any(authorization.address) and signer not in self._delegated:
            size += prices.DELEGATION_BYTES
            self._delegated.add(signer)
        self._calls.gas.charge("OnAuthorization", execution)
        self._calls.gas.charge("OnStateGas", meter.charge(size * gas.state_byte))
