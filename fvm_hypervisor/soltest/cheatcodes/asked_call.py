"""A call as its frame asks for it, whatever the rules (`Attempt`), and what makes it under these (`Around`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.ledger import Ledger
from runtimes.evm.engine import Answer, CallKind


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call, or a creation where `kind` is None; `data` is the init code then. `gas` is what the callee may use.

    `target` is whose code runs, `receiver` in whose name: a delegate call's is its caller.
    """

    kind: CallKind | None
    caller: EthAddress
    target: EthAddress
    receiver: EthAddress
    value: int
    data: bytes
    gas: int
    static: bool
    depth: int
    second: bool = False
    """Whether the creation is CREATE2."""
    salt: bytes = b""
    """Of CREATE2, where it is known."""


@dataclass(frozen=True, slots=True)
class Around:
    """What the rules do for attempts."""

    ledger: Ledger
    proceed: Callable[[EthAddress | None, EthAddress | None], Answer]
    """Make the attempt, in another name if one is given, with another contract's code if one is given."""
    pay: Callable[[EthAddress, int], bool]
    """Pay from whom it is and what it costs to call, for a call that is not made; whether the value could be paid."""
    give_back: Callable[[], None]
    """Give the frame the gas that a call has used up by failing."""
    set_origin: Callable[[EthAddress], None]
    origin: EthAddress
    chain_id: int
    words: Callable[[bytes], str]
    fork_url: Callable[[], str | None]
    """The node of the active fork."""
    answered: Callable[[Answer], Answer] = lambda answer: answer
    """Take note of an answer in the callee's place."""
