"""A contract's interface by the contract's name."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.abi import ContractInterface


@dataclass(frozen=True, slots=True)
class NamedInterface:
    """A contract's interface with the contract's name, and its address (`0x` and hex) where one contract has it."""

    name: str
    interface: ContractInterface
    address: str | None = None
