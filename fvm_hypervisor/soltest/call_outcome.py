"""The outcome of a call that a test runner makes (`executor.TestExecutor.call`)."""

from __future__ import annotations

from dataclasses import dataclass

from hypervisor.messages.events import StampedEvent


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """Outcome of a call. `output` is the return or revert data, without CBOR; gas is counted by the rules.

    `error` is the machine's message about the call itself, `reason` the origin of its failure, if Filecoin's rules
    report it and no contract does.
    """

    success: bool
    output: bytes
    gas_used: int
    events: tuple[StampedEvent, ...]
    error: str = ""
    reason: str = ""
    touched_words: tuple[int, ...] = ()
    """Words of slots that a committed call touched, if `TestExecutor.records_slots` is set under Ethereum's rules."""
    may_change_state: bool = True
    """False if the call is known to have changed neither the state nor the test's output."""
    execution_gas: int = 0
    """Gas before refunds, and without the minimum for the calldata (EIP-7623); 0 if unknown."""
