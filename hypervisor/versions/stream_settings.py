"""Settings of the reward actor's streams at network version 29 (FIP-0118), by network name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypervisor.messages.address import Address
from hypervisor.types import EAM_ACTOR, SYSTEM_ACTOR, whole_number

_MAX_EPOCHS: Final = (1 << 62) - 1
"""Maximum length of a timelock or ramp in epochs; an epoch plus this fits into a signed 64-bit integer."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Initial stream settings of a network's reward actor at network version 29.

    `timelock` is the number of epochs from a change by the authority to its effect. `ramp` is the number of epochs in
    which the miners' stream would fall from 95 % to 50 % while the second one rises equally; 0 for the miners' stream
    alone. `authority` (SWA) may change streams and weights, `writer` (SRA) the shares of the second stream, all of
    which `recipient` receives at first.
    """

    timelock: int
    ramp: int
    authority: Address
    writer: Address
    recipient: Address

    def fields(self) -> list[Any]:
        """Return the fields for a folder's record."""
        return [self.timelock, self.ramp, *(role.to_bytes() for role in (self.authority, self.writer, self.recipient))]

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> StreamSettings:
        """Create settings from `fields`. Raises TypeError and ValueError."""
        timelock, ramp, *roles = fields
        authority, writer, recipient = map(Address.from_bytes, roles)
        return cls(timelock, ramp, authority, writer, recipient)

    def named(self) -> dict[str, int | Address]:
        """Return the settings by their option names."""
        return {
            "swa": self.authority,
            "sra": self.writer,
            "orchestrator": self.recipient,
            "ramp": self.ramp,
            "timelock": self.timelock,
        }

    def check(self) -> None:
        """Raise InvalidInput for epochs out of range."""
        for name, epochs in (("timelock", self.timelock), ("ramp", self.ramp)):
            whole_number(epochs, f"the {name} of streams", 0, _MAX_EPOCHS, unit="epochs")


def _contract(text: str) -> Address:
    return Address.delegated(EAM_ACTOR, bytes.fromhex(text))


_NOBODY: Final = Address.id(SYSTEM_ACTOR)
DEVELOPMENT: Final = StreamSettings(50, 900, _NOBODY, _NOBODY, _NOBODY)
_DEPLOYED: Final = (
    _contract("66c11a9f6dfec3c1557958cf9f575a023eb01421"),
    _contract("0339f205314c8210af7cb075d1a96d012e7896a9"),
    _contract("97a90f5696be5e3c8d3752c92adac287c2b4484e"),
)
STREAM_SETTINGS: Final[Mapping[str, StreamSettings]] = {
    "mainnet": StreamSettings(20_160, 2_366_766, *_DEPLOYED),
    "calibrationnet": StreamSettings(720, 25_920, *_DEPLOYED),
    "butterflynet": StreamSettings(
        40,
        2_160,
        _contract("17c43bc9d8e8600ebe7599c18f2da2d5ced68d95"),
        _contract("ea340224f4df7d01d2657964215e37452165b0a1"),
        _contract("48c7dc38e74c9fa9ea6484ad6ad0520349dc9b40"),
    ),
}
"""Settings by network name; other networks use `DEVELOPMENT`. Source: network parameters of lotus and forest."""
