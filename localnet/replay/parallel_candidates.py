"""A block's candidates on several cores (`hypervisor.machine.parallel`); imported only if this is enabled."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import BlockMessage, Parallel, ParallelBlock
from localnet.chain.execution import apply
from localnet.ledger.candidates import Candidate
from localnet.rules.parts import rules_of


class ParallelCandidates:
    """The candidates of a block, some of which workers execute ahead of their turn; `close` ends the workers.

    `start` is a `localnet.chain.execution.BlockStarter`.
    """

    def __init__(self, machine: Hypervisor, candidates: Sequence[Candidate], parallel: Parallel) -> None:
        rules = rules_of(machine)
        messages = [
            BlockMessage(partial(apply, rules, machine, each), each.bare.from_, each.bare.to, each.bare.value > 0)
            for each in candidates
        ]
        self._numbers = {each.hash: number for number, each in enumerate(candidates)}
        self._block = ParallelBlock(machine, messages, parallel)

    @classmethod
    def start(cls, parallel: Parallel, machine: Hypervisor, candidates: Sequence[Candidate]) -> ParallelCandidates:
        """Start workers for the candidates of a block, at the state before the first one."""
        started = cls(machine, candidates, parallel)
        started._block.start()
        return started

    def apply(self, machine: Hypervisor, candidate: Candidate) -> ApplyResult:
        """Apply the next candidate to the machine on which the block was started.

        Raises as `execution.apply`.
        """
        return self._block.apply(self._numbers[candidate.hash])

    def close(self) -> None:
        """End the workers."""
        self._block.end()
