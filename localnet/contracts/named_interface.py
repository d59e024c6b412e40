"""A contract's interface by the contract's name."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.abi.abi import ContractInterface


@dataclass(frozen=True, slots=True)
class NamedInterface:
    """A contract's interface, name, and address (`0x` and hex) if it is for one contract."""

    name: str
    interface: ContractInterface
    address: str | None = None
