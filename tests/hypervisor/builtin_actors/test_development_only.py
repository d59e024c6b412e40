"""The two development-only methods of our miner: bad parameters and unauthorized callers change nothing."""

from collections import Counter

import pytest

from hypervisor import Address, Message
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import TokenAmount
from tests.hypervisor.builtin_actors.bad_forms import bad_forms
from tests.hypervisor.builtin_actors.examples import CALLERS, Example
from tests.hypervisor.builtin_actors.people import FIL
from tests.hypervisor.builtin_actors.stage import EPOCH, MINER
from tests.hypervisor.builtin_actors.test_same_registry import DAY, KIB, TERM_MIN, piece
from tests.hypervisor.builtin_actors.twins import DAMAGED_LIMIT, Twins

_ALLOCATION = [101, 1, piece(1), KIB]
COMMIT = Example(
    "storageminer", "DevelopmentOnlyCommitSectors", MINER, 105, [[[_ALLOCATION], []], EPOCH + TERM_MIN + DAY], FIL
)
PROVE = Example("storageminer", "DevelopmentOnlyProveDeadline", MINER, 105)
WORKERS = {"alice", "carol", "worker"}
"""The owner, a control address and the worker."""


def answer(twins: Twins, example: Example, by: int, params: bytes) -> ApplyResult:
    """Return our miner's result and revert its effects; a failed call must not change the state."""
    machine = twins.own
    to, value = Address.id(example.to), TokenAmount(example.value)
    before = machine.snapshot()
    message = Message(to, Address.id(by), 0, value, example.numbers[0], params, gas_limit=DAMAGED_LIMIT)
    result = machine.apply_implicit(message)
    assert result.fatal is None
    assert machine.root == before.root or result.exit_code == 0
    machine.restore(before)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("example", [COMMIT, PROVE], ids=["commit", "prove"])
def test_only_miner_workers_may_call_development_methods(staged: Twins, example: Example) -> None:
    params = example.encoded(staged.own.manifest)
    codes = {name: answer(staged, example, by, params).exit_code for name, by in CALLERS.items()}
    assert {name for name, code in codes.items() if code != 18} == WORKERS


@pytest.mark.parametrize("example", [COMMIT, PROVE], ids=["commit", "prove"])
def test_bad_parameters_are_refused(staged: Twins, example: Example) -> None:
    codes = Counter(
        answer(staged, example, example.by, params).exit_code for _, params in bad_forms(example, staged.own.manifest)
    )
    assert set(codes) <= {0, 16, 17, 18, 19, 20, 21}, codes
    assert codes[16] + codes[21] > codes[0]
