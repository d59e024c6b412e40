"""Random inputs as values, drawn by a campaign."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from eth_abi.abi import decode, encode

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.receipts import Log
from hypervisor_tools.soltest.execution.values import (
    Dictionary,
    Inputs,
    packed_words,
    parameter_messages,
    types,
)
from runtimes.evm.revm import Campaign, CampaignPlan, CampaignStep, CampaignTarget, Guest

TARGET = EthAddress(b"\1" * 20)
SELECTOR = b"abcd"


class Drawing:
    """Draws and changes the inputs of one function."""

    def __init__(
        self, inputs: Inputs, seed: object = 0, words: Iterable[int] = (), *, dictionary: Dictionary | None = None,
        fixtures: dict[str, list[bytes]] | None = None, weight: int = 40,
    ) -> None:  # fmt: skip
        known = dictionary or Dictionary(packed_words(words))
        self._types = types(inputs)
        target = CampaignTarget(
            TARGET, SELECTOR, parameter_messages({"name": "f", "inputs": inputs}, known.enum_size, fixtures or {})
        )
        plan = CampaignPlan(
            str(seed), keeps=False, depth=1 << 40, targets=[target], senders=[TARGET], dictionary=known.message(),
            weight=weight, has_storage=known.takes_storage,
        )  # fmt: skip
        self.campaign = Campaign(Guest(), plan)
        self.campaign.begin()

    def calldata(self) -> bytes:
        """Return random calldata without its selector."""
        return self.campaign.draw(0).data[4:]

    def arguments(self) -> tuple[Any, ...]:
        """Return random values."""
        return decode(self._types, self.calldata())

    def mutate(self, arguments: Sequence[Any], other: Sequence[Any]) -> tuple[Any, ...]:
        """Return values that are changed, or copied from others."""
        both = [SELECTOR + encode(self._types, values) for values in (arguments, other)]
        return decode(self._types, self.campaign.mutate(0, *both)[4:])

    def shrunk(self, arguments: Sequence[Any], fails: Callable[..., object]) -> tuple[tuple[Any, ...], int]:
        """Return the simplest values that still fail, and the number of tries."""
        best, tries = tuple(arguments), 0
        data = self.campaign.simpler(0, SELECTOR + encode(self._types, arguments))
        while data:
            values, tries = decode(self._types, data[4:]), tries + 1
            has_failed = bool(fails(*values))
            best = values if has_failed else best
            data = self.campaign.still_simpler(has_failed)
        return best, tries

    def learn(self, output: bytes = b"", logs: Sequence[Log] = (), words: bytes = b"") -> None:
        """Learn from the outcome of a call."""
        self.campaign.queue(CampaignStep(TARGET, 0, SELECTOR))
        assert self.campaign.next()
        self.campaign.take(success=True, rejected=False, gas=0, output=output, logs=logs, words=words)
