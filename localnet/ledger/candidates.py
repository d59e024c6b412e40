"""A message that may go into a block, as its sender knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from bridge.addresses import EthAddress
from bridge.transaction_messages import from_signed_message
from bridge.transactions import SignedTransaction
from hypervisor.message import Message, SignedMessage
from localnet.ledger.records import UNTYPED, Execution


@dataclass(frozen=True)  # no slots: what is looked up again and again is kept
class Candidate:
    """A message with the hash and the kind under which its sender knows it."""

    hash: bytes
    kind: int
    message: SignedMessage
    sender: EthAddress
    to: EthAddress | None
    sent: SignedTransaction | None = field(default=None, compare=False)
    """The transaction as it was sent to this process; `transaction` has it, too, where only the message is known."""

    @cached_property
    def bare(self) -> Message:
        """The message without its signature."""
        return self.message.message

    @cached_property
    def required_funds(self) -> int:
        """attoFIL that the sender must have: value, and gas at the fee cap."""
        return self.bare.value + self.bare.gas_fee_cap * self.bare.gas_limit

    def transaction(self, chain_id: int) -> SignedTransaction | None:
        """The transaction, on a chain of this id; None for a message that was sent as no transaction."""
        if self.sent is not None or self.kind in UNTYPED:
            return self.sent
        return from_signed_message(self.message, chain_id)


def candidate_of(execution: Execution) -> Candidate:
    """The candidate that was executed, for executing it again."""
    return Candidate(execution.hash, execution.kind, execution.message, execution.sender, execution.to)
