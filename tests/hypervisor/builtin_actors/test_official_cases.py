"""Our system, init, account, ethaccount, placeholder and EAM actors in recorded cases of the official ones.

Every exit code, return value, event, balance and state head must equal those of the official actors. Contracts run on
the official EVM actor, so that only our guests differ. The recorded states name the official code CIDs, so our modules
are installed under them. Without the test data the cases are those recorded by tests/conformance/fevm_cases.py, on our
own bundle.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor_tools.laboratory.vectors.fevm import CaseRunner, load_cases
from tests.conformance.fevm_cases import FOLDER, GROUP
from tests.conftest import data_file, fvm_data, with_data

GUESTS = ("system", "init", "account", "ethaccount", "placeholder", "eam")
GROUPS = ("create", "methods", "selfdestruct", "calls")


@pytest.fixture(scope="module")
def mixed_world() -> Iterator[CaseRunner]:
    if fvm_data() is None:
        yield CaseRunner(Bundle.embedded())
        return
    official, own = Bundle.open(data_file("bundles/v18-devnet.car")), Bundle.embedded()
    modules = dict(own.blocks)
    ours = {official.manifest.code(name): modules[own.manifest.code(name)] for name in GUESTS}
    blocks = tuple((cid, ours.get(cid, data)) for cid, data in official.blocks)
    yield CaseRunner(Bundle(official.root, official.manifest, blocks), evm="official")


def cases(group: str) -> list[dict[str, Any]]:
    return load_cases(FOLDER if group == GROUP else data_file("vectors/fevm"), group)


@pytest.mark.slow
@pytest.mark.parametrize("group", with_data(*GROUPS) or [GROUP])
def test_own_guests_match_recorded_official_results(mixed_world: CaseRunner, group: str) -> None:
    ran = {case["name"]: mixed_world.run(case) for case in cases(group)}
    assert {name: found for name, found in ran.items() if found} == {}
    assert len(ran) > (10 if group == GROUP else 30)
