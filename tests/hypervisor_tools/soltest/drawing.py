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
        fixtures: dict[str, list[bytes]] | None = None, weight: int = 40, corpus: Sequence[Sequence[Any]] = (),
    ) -> None:  # fmt: skip
        known = dictionary or Dictionary(packed_words(words))
        self.dictionary = known
        self._types = types(inputs)
        target = CampaignTarget(
            TARGET, SELECTOR, parameter_messages({"name": "f", "inputs": inputs}, known.enum_size, fixtures or {})
        )
        plan = CampaignPlan(
            str(seed), keeps=False, depth=1 << 40, targets=[target], senders=[TARGET], dictionary=known.message(),
            weight=weight, has_storage=known.takes_storage, contract_of=lambda _: None, max_inputs=len(corpus),
        )  # fmt: skip
        self.campaign = Campaign(Guest(), plan)
        for arguments in corpus:
            data = SELECTOR + encode(self._types, arguments)
            self.campaign.begin([CampaignStep(TARGET, 0, data)], is_replay=True)
            assert self.campaign.next()
            self.campaign.cover(has_new=True)
        self.campaign.begin()

    def calldata(self) -> bytes:
        """Return random calldata without its selector."""
        step = self.campaign.next()
        assert step
        self.campaign.take(success=False, rejected=True, gas=0, output=b"", logs=(), words=b"")
        return step.data[4:]

    def arguments(self) -> tuple[Any, ...]:
        """Return random values."""
        return decode(self._types, self.calldata())

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
