"""A call that cheatcodes intercept (`InterceptedCall`), and the operations of the rules (`CallOperations`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.ledger import Ledger
from runtimes.evm import CallKind, SubcallOutcome


@dataclass(frozen=True, slots=True)
class InterceptedCall:
    """A requested call; a creation if `kind` is None, with the init code in `data`. `gas` is the callee's limit.

    The code of `target` runs as `receiver`: in a delegate call, the caller.
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
    """True if the creation is CREATE2."""
    salt: bytes = b""
    """Salt of CREATE2, if known."""
    sender: EthAddress | None = None
    """Sender that the callee of a delegate call sees, instead of `caller`."""

    @property
    def transfer(self) -> int | None:
        """Value that mocks and expectations of calls compare: zero for a static call, None for a delegate call."""
        return None if self.kind is CallKind.DELEGATECALL else self.value


@dataclass(frozen=True, slots=True)
class CallOperations:
    """Operations of the rules on requested calls."""

    ledger: Ledger
    proceed: Callable[[EthAddress | None, EthAddress | None], SubcallOutcome]
    """Make the call, as another sender and with another contract's code if these are given."""
    pay: Callable[[EthAddress, int], bool]
    """Transfer the value and charge a call that is not made; return True if the value could be paid."""
    return_gas: Callable[[], None]
    """Return to the frame the gas that a failed call consumed."""
    set_origin: Callable[[EthAddress], None]
    origin: EthAddress
    chain_id: int
    reason_text: Callable[[bytes], str]
    """Return revert data as text."""
    fork_url: Callable[[], str | None]
    """Return the node of the active fork."""
    uses_deployer: bool = False
    """True if CREATE2 of the test contract, or of a pranked frame, is a call of the default deployer."""
    answered: Callable[[SubcallOutcome], SubcallOutcome] = lambda outcome: outcome
    """Hook that receives an outcome that replaces the callee's, and returns the one to use."""
