"""Overrides of a call: accounts and block fields that differ from the state.

The overrides apply inside a context manager, which restores the machine at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from bridge.ethereum.addresses import EthAddress
from hypervisor.machine.machine import Hypervisor
from hypervisor.types import TokenAmount
from localnet.rules.facts import SAME_BLOCK, BlockOverride
from localnet.rules.parts import NetworkRules, rules_of
from localnet.state.controls import MAX_NONCE, set_balance, set_code, set_nonce, set_storage


@dataclass(frozen=True, slots=True)
class AccountOverride:
    """Override of an account; None keeps the value.

    `state` replaces all of its storage, `state_diff` single slots.
    """

    balance: TokenAmount | None = None
    nonce: int | None = None
    code: bytes | None = None
    state: Mapping[int, int] | None = None
    state_diff: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Overrides:
    """Account and block overrides."""

    accounts: Mapping[EthAddress, AccountOverride] = field(default_factory=dict)
    block: BlockOverride = SAME_BLOCK

    @property
    def is_empty(self) -> bool:
        """True if nothing is overridden."""
        return not self.accounts and self.block == SAME_BLOCK


NONE: Final = Overrides()


@contextmanager
def overridden(machine: Hypervisor, overrides: Overrides = NONE) -> Iterator[None]:
    """Apply overrides to a machine, and revert all changes at the end.

    Raises AddressError and InvalidInput for an override that is impossible for the account.
    """
    context, externs = machine.context, machine.externs
    with machine.trial():
        block = overrides.block
        try:
            machine.advance(epoch=block.number, timestamp=block.time, base_fee=block.base_fee)
            rules = rules_of(machine)
            rules.settings.override_block(machine, block, overrides.accounts)
            override_accounts(machine, overrides.accounts, rules)
            yield
        finally:
            machine.context, machine.externs = context, externs


def override_accounts(machine: Hypervisor, accounts: Mapping[EthAddress, AccountOverride], rules: NetworkRules) -> None:
    """Change the accounts on a machine's state, within the limits of the rules. Raises AddressError, InvalidInput."""
    bare = rules.features.allows_bare_storage
    max_nonce = MAX_NONCE - 1 if rules.features.has_filecoin_blocks else MAX_NONCE
    for owner, override in accounts.items():
        if override.code is not None:
            set_code(machine, owner, override.code)
        if override.nonce is not None:
            set_nonce(machine, owner, override.nonce, max_nonce)
        if override.balance is not None:
            set_balance(machine, owner, override.balance, rules.limits.balance)
        if override.state is not None:
            set_storage(machine, owner, override.state, only=True, bare=bare)
        if override.state_diff is not None:
            set_storage(machine, owner, override.state_diff, bare=bare)
