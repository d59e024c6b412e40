"""Contracts: cases of the official EVM actor and Ethereum's state tests.

- Golden cases of the official EVM actor: exit codes, returns, events and the head of every actor must be equal.
- Memory and gas derived by this project's EVM runtime, compared with those metered for the official EVM actor.
- Ethereum's official state tests on this project's dispatch, actors and storage: exact root, logs and exception.

They are part of the test data; without it, the cases recorded by fevm_cases.py are used.

`tests/differential` compares the results of contracts.

A fixed sample runs each time; `make statetest` runs all. Without the test data, our own files replace them; their
expected results are those of py-evm (state_test_cases.py).
"""

import copy
import json
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.context import MachineContext
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import MessageEnded, TraceEvent, Tracer
from hypervisor_tools.laboratory.vectors.fevm import ALL_GROUPS, CaseRunner, load_cases
from hypervisor_tools.laboratory.vectors.statetest import find_files, run_file, run_test
from store.blockstore import Store
from store.cid import EMPTY_ARRAY_CID, Cid, show
from tests.conformance.fevm_cases import BUNDLE, CASES, FOLDER, GROUP, recorded
from tests.conformance.state_test_cases import CASES as STATE_TESTS
from tests.conformance.state_test_cases import Written, text_of
from tests.conftest import OWN_DATA, data_file, evms, fvm_data, newest_bundle, with_data
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.chain import Chain, open_machine

OWN_ACTORS = ("system", "init", "account", "ethaccount", "placeholder", "eam", "evm")


@cache
def _official() -> Bundle:
    return Bundle.open(data_file(BUNDLE))


@cache
def _world(natives: str) -> CaseRunner:
    """Return a machine with contracts on this project's EVM runtime and official or own native actors."""
    return CaseRunner(Bundle.embedded() if natives == "own" else _official())


def _cases() -> list[Any]:
    if fvm_data() is None:
        return [pytest.param("own", GROUP, case, id=f"{GROUP}/{case['name']}") for case in load_cases(FOLDER, GROUP)]
    cases = [(group, case) for group in ALL_GROUPS for case in load_cases(data_file("vectors/fevm"), group)]
    return [
        pytest.param(natives, group, case, id=f"{natives}-{group}/{case['name']}")
        for natives in ("official", "own")
        for group, case in cases
        if natives == "official" or _fits_own_bundle(case)
    ]


def _fits_own_bundle(case: dict[str, Any]) -> bool:
    """Return True if a case uses only actors of this project's bundle, and no code CID of the official one."""
    code = _official().manifest.code("evm").hex()
    messages = case.get("messages") or [case["message"]]
    return all(actor["code"] in OWN_ACTORS for actor in case["pre"]) and not any(
        code in message["params"] for message in messages
    )


@pytest.mark.parametrize(("natives", "group", "case"), _cases())
def test_contract_matches_official_evm_actor(natives: str, group: str, case: dict[str, Any]) -> None:
    differences = _world(natives).run(case)
    assert not differences, "\n".join(differences)


def test_an_altered_head_is_noticed() -> None:
    (case, *_) = load_cases(FOLDER, GROUP)
    expect = (case.get("expects") or [case["expect"]])[-1]
    (contract, *_) = [actor for actor in expect["actors"] if actor["code"] == "evm"]
    contract["head"] = show(EMPTY_ARRAY_CID)
    assert any("head" in difference for difference in _world("own").run(case))


@pytest.mark.parametrize("name", CASES)
def test_fevm_cases_match_official_evm_actor(name: str) -> None:
    """The files in fevm/ contain the official actor's results; they are verified again if the actor is available."""
    kept = {case["name"]: case for case in load_cases(FOLDER, GROUP)}
    assert kept.keys() == CASES.keys()
    assert not _world("own").run(kept[name])
    if fvm_data() is not None:
        assert recorded(name, CASES[name], CaseRunner(_official(), evm="official")) == kept[name]


OFFICIAL_BUNDLE = "bundles/v18-devnet.car"


@pytest.mark.parametrize("mebibytes", [8, 20, 64])
def test_live_frames_share_the_memory_of_a_message(mebibytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A contract calls itself until memory is exhausted; the EVM runtime needs less memory than the official actor."""
    bundle = Bundle.open(newest_bundle(OFFICIAL_BUNDLE))
    chains = [Chain(open_machine(bundle=bundle, evm=evm)) for evm in evms()]
    count = assemble("32 0 0 0 0 ADDRESS GAS CALL POP 0 MLOAD 1 ADD 0 MSTORE 32 0 RETURN")
    contracts = [chain.deploy(count) for chain in chains]
    for module in ("hypervisor.kernel.call", "runtimes.wasm.runtime"):
        monkeypatch.setattr(f"{module}.MAX_TOTAL_MEMORY", mebibytes << 20)
    frames = [chain.call(contract) for chain, contract in zip(chains, contracts, strict=True)]
    assert frames[0] == frames[1]


COMPARED = ("storage", "logs", "calls", "create", "inspect", "selfdestruct", "solidity", "trees")


@pytest.mark.slow
@pytest.mark.parametrize("group", with_data(*COMPARED))
def test_message_gas_is_close_to_official_evm_actor(group: str) -> None:
    """Derived gas differs from the official module's metered gas; over the golden cases the ratio is close to one."""
    bundle = Bundle.open(newest_bundle(OFFICIAL_BUNDLE))
    gas = [_gas_of_cases(_Metered(bundle, evm), group) for evm in evms()]
    ratios = sorted(ours / official for ours, official in zip(*gas, strict=True) if official)
    assert len(ratios) > 25
    assert 0.97 < median(ratios) < 1.03
    tenth = len(ratios) // 10
    assert ratios[tenth] > 0.93
    assert ratios[-1 - tenth] < 1.1


class _Metered(CaseRunner, Tracer):
    """Records the gas of its cases' messages."""

    def __init__(self, bundle: Bundle, evm: str) -> None:
        super().__init__(bundle, evm)
        self.gas: list[int] = []

    def event(self, event: TraceEvent, /) -> None:
        if isinstance(event, MessageEnded):
            self.gas.append(event.gas_used)

    def _machine(self, store: Store, root: Cid, context: MachineContext) -> Hypervisor:
        machine = super()._machine(store, root, context)
        machine.tracer = self
        return machine


def _gas_of_cases(world: _Metered, group: str) -> list[int]:
    for case in load_cases(data_file("vectors/fevm"), group)[:30]:
        world.run(case)
    return world.gas


ROOTS = ("vectors/GeneralStateTests", "vectors/state_tests")
LARGE = 300_000
EVERY = 23
"""Sampling interval: every 23rd file below `LARGE` bytes outside the slow folders is in the sample."""

SLOW_FOLDERS = ("stTimeConsuming", "stZeroKnowledge", "stQuadraticComplexityTest", "VMTests")
CHECKED = ("Cancun", "Prague", "Osaka")
COUNTS = {"Cancun": 12_433, "Prague": 7_714, "Osaka": 8_290}
OWN_COUNTS = {"Cancun": 15, "Prague": 16, "Osaka": 0}


def every_file() -> list[Path]:
    return find_files([(fvm_data() or OWN_DATA) / root for root in ROOTS])


def sample() -> list[Path]:
    found = [path for path in every_file() if not any(folder in path.as_posix() for folder in SLOW_FOLDERS)]
    return [path for path in found if path.stat().st_size < LARGE][:: EVERY if fvm_data() else 1]


def failures(path: Path) -> list[str]:
    return [f"{record['name']} {record['index']}: {record['error']}" for record in run_file(path) if not record["pass"]]


@pytest.mark.parametrize("path", sample(), ids=lambda path: path.stem)
def test_a_file_of_the_sample_passes(path: Path) -> None:
    assert not failures(path)


@pytest.mark.slow
def test_the_files_hold_as_many_cases_as_their_providers_say() -> None:
    counts = dict.fromkeys(CHECKED, 0)
    for path in every_file():
        for test in json.loads(path.read_text(encoding="utf-8")).values():
            for fork in CHECKED:
                counts[fork] += len(test["post"].get(fork, ()))
    assert counts == (COUNTS if fvm_data() else OWN_COUNTS)


@pytest.mark.parametrize("case", STATE_TESTS, ids=lambda case: Path(case.file).stem)
def test_own_state_test_files_match_py_evm(case: Written) -> None:
    path = OWN_DATA / case.file
    assert path.read_text(encoding="utf-8") == text_of(case), "run `python -m tests.conformance.state_test_cases`"
    assert not failures(path)


# --- what is altered is noticed ---------------------------------------------------------------------------------------

EXAMPLE = "vectors/GeneralStateTests/stExample/eip1559.json"
REFUSED = "vectors/GeneralStateTests/stExample/invalidTr.json"


def outcomes(file: str, change: dict[str, Any]) -> list[str]:
    """Return the errors of a file's Cancun cases after fields of the first one are changed."""
    errors = []
    for name, test in json.loads(data_file(file).read_text(encoding="utf-8")).items():
        changed = copy.deepcopy(test)
        changed["post"]["Cancun"][0].update(change)
        errors += [result.error for result in run_test(file, name, changed, "Cancun")]
    return errors


@pytest.mark.parametrize("file", [EXAMPLE, REFUSED])
def test_untouched_files_pass(file: str) -> None:
    assert not any(outcomes(file, {}))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (EXAMPLE, {"hash": "0x" + "11" * 32}, "state root"),
        (EXAMPLE, {"logs": "0x" + "22" * 32}, "logs hash"),
        (EXAMPLE, {"expectException": "TransactionException.NONCE_IS_MAX"}, "transaction: valid"),
        (REFUSED, {"expectException": None}, "INTRINSIC_GAS_TOO_LOW, expected valid"),
        (
            REFUSED,
            {"expectException": "TransactionException.NONCE_IS_MAX"},
            "NONCE_IS_MAX",
        ),
    ],
)
def test_an_altered_expectation_is_noticed(file: str, change: dict[str, Any], words: str) -> None:
    first, *others = outcomes(file, change)
    assert words in first
    assert not any(others)
