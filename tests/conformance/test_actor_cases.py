"""Cases of built-in actors, and features that no network enables.

- Cases of built-in actors: recorded messages of nv29's reward actor, and cases computed by hand.
- Features m2-native and upgrade-actor of the reference, which no network enables, compared vector by vector.

The recorded cases are part of the test data. Those computed by hand follow FIP-0118 with small numbers: one stream of
the miners, one with two recipients, and a block reward of 4 to 12 attoFIL.
"""

import copy
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.types import ActorID, encode_bigint
from hypervisor.versions.features import SINCE, features_of, with_features
from hypervisor.versions.overlay import Overlay
from hypervisor.versions.overlay_file import parse_overlay
from hypervisor_tools.laboratory.vectors.conformance import VectorResult, open_vector, run_variant
from hypervisor_tools.laboratory.vectors.ethereum_json import read_json, read_object
from hypervisor_tools.laboratory.vectors.fevm import CaseFile, find_files, run_case_file
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from store.cid import cid_of
from store.codec import encode, link
from tests.conftest import bundle_folder, data_file, fvm_data, newer_names
from tests.golden_cases import GOLDEN

WHOLE = 10**18
MINERS, SHARED = 1, 2
SWA, WRITER, FIRST, SECOND, ANYBODY = range(100, 105)
MINER_OWNER, MINER, BURNT = 107, 110, 99
CLAIM, SET_SHARES, AWARD = 4045527845, 2414422607, 2


def recorded() -> list[Any]:
    """Return the cases of the test data, or none without it."""
    if fvm_data() is None:
        return []
    files = [read_object(read_json(path.read_bytes(), path.name), path.name) for path in found_files()]
    return [pytest.param(file, case, id=f"recorded/{case['name']}") for file in files for case in file["cases"]]


def found_files() -> list[Path]:
    return find_files([data_file("vectors/nv29-reward")])


def address(actor: int) -> bytes:
    return Address.id(ActorID(actor)).to_bytes()


def state(reward: int, accrued: int, streams: list[Any], minted: int = 0, burnt: int = 0, kept: int = 0) -> bytes:
    """Return the head of f02 with an epoch's reward in attoFIL; irrelevant fields are those of a new network."""
    number = encode_bigint
    estimate = [number(1 << 128), number(0)]
    return encode([
        number(0), number(0), 0, number(1), number(reward), estimate, number(1), 9,
        number(minted), number(burnt), number(kept), 0, address(SWA), [[SHARED, number(accrued)]],
        link(cid_of(block(streams))),
    ])  # fmt: skip


def block(streams: list[Any]) -> bytes:
    return encode([streams, [], []])


def shared(shares: list[list[Any]], payable: list[list[Any]], claimed: list[list[Any]], quarter: int = 1) -> list[Any]:
    """Return the miners' stream and one with shares; each gets at least a quarter of a reward."""
    weight = WHOLE // 4
    return [
        [MINERS, [weight, 0, 0, weight, weight], None],
        [
            SHARED,
            [quarter * weight, 0, 0, quarter * weight, quarter * weight],
            [address(WRITER), shares, payable, claimed],
        ],
    ]


HALVES = [[address(FIRST), WHOLE // 2], [address(SECOND), WHOLE // 2]]


def step(sender: int, number: int, params: Any, **outcome: Any) -> dict[str, Any]:
    expected = {"exit": 0, "return": "", "events": [], "balance_changes": {}, "head": "same", "streams": "same"}
    method = {AWARD: "AwardBlockReward", CLAIM: "Claim", SET_SHARES: "SetShares"}[number]
    sent = {"epoch": 10, "from": sender, "method": method, "number": number, "params": encode(params).hex()}
    return {**sent, **expected, **outcome}


def award(wins: int) -> list[Any]:
    return [address(MINER), encode_bigint(0), encode_bigint(0), wins]


def event(*entries: tuple[int, str, Any]) -> list[list[Any]]:
    return [[flags, key, 0x51, encode(value).hex()] for flags, key, value in entries]


def payout(recipient: int, amount: int) -> list[list[Any]]:
    return event(
        (3, "$type", "claim-payout"),
        (3, "stream-id", SHARED),
        (3, "recipient", recipient),
        (1, "amount", encode_bigint(amount)),
    )


def cases_by_hand() -> list[dict[str, Any]]:
    """Return cases with a reward of 20 attoFIL per epoch, which is 4 for one win of five.

    Of 4, the miners get a quarter (1) and the shared stream 1; the remaining 2 are burnt. Of 12 it is 3, 3 and 6.
    """
    streams = shared(HALVES, [], [])
    before = {"epoch": 10, "f02_balance": "1000", "head": state(20, 0, streams).hex(), "streams": block(streams).hex()}
    after_four = state(20, 1, streams, 4, 2, 1)
    after_sixteen = state(20, 4, streams, 16, 8, 4)
    claimed = shared(HALVES, [], [[address(FIRST), encode_bigint(2)]])
    # At the end of the period the second recipient has earned 2 of 4; all goes to it from then on.
    folded = shared([[address(SECOND), WHOLE]], [[address(SECOND), encode_bigint(2)]], [])
    return [
        {
            "name": "splits",
            "initial": before,
            "steps": [
                step(0, AWARD, award(1), balance_changes={"2": "-3", "99": "2", "110": "1"}, head=after_four.hex()),
                step(0, AWARD, award(3), balance_changes={"2": "-9", "99": "6", "110": "3"}, head=after_sixteen.hex()),
                step(
                    ANYBODY,
                    CLAIM,
                    [SHARED, [address(FIRST), address(ANYBODY)]],
                    balance_changes={"2": "-2", str(FIRST): "2"},
                    events=[payout(FIRST, 2)],
                    head=state(20, 4, claimed, 16, 8, 4).hex(),
                    streams=block(claimed).hex(),
                    **{"return": encode([[encode_bigint(2), encode_bigint(0)]]).hex()},
                ),
                step(
                    WRITER,
                    SET_SHARES,
                    [SHARED, [[address(SECOND), WHOLE]]],
                    events=[
                        event(
                            (3, "$type", "period-folded"), (3, "stream-id", SHARED), (1, "cause", "SetShares"),
                            (1, "accrued", encode_bigint(4)), (1, "dust", encode_bigint(0)),
                        ),
                        event((3, "$type", "shares-set"), (3, "stream-id", SHARED), (1, "shares", [[SECOND, WHOLE]])),
                    ],
                    head=state(20, 0, folded, 16, 8, 4).hex(),
                    streams=block(folded).hex(),
                ),
            ],
        },
        {
            "name": "refuses",
            "initial": before,
            "steps": [
                step(ANYBODY, SET_SHARES, [SHARED, [[address(SECOND), WHOLE]]], exit=18),
                step(WRITER, SET_SHARES, [SHARED, [[address(SECOND), WHOLE - 1]]], exit=16),
                step(WRITER, SET_SHARES, [SHARED, [[address(4242), WHOLE]]], exit=17),
                step(ANYBODY, CLAIM, [MINERS, []], exit=16),
                step(ANYBODY, AWARD, award(1), exit=18),
            ],
        },
    ]  # fmt: skip


def written(cases: list[dict[str, Any]]) -> dict[str, Any]:
    keys = {str(100 + place): (b"\x03" + bytes([place + 1]) * 48).hex() for place in range(10)}
    return {"accounts": {"miner owner": MINER_OWNER}, "keys": keys, "miner": MINER, "cases": cases}


@pytest.fixture(scope="module")
def by_hand() -> CaseFile:
    return CaseFile(written(cases_by_hand()), Bundle.embedded("v19"))


def worked_out() -> list[Any]:
    return [pytest.param(written([]), case, id=f"by hand/{case['name']}") for case in cases_by_hand()]


@pytest.mark.parametrize("bundle", ["own-v19", *newer_names()])
@pytest.mark.parametrize(("file", "case"), [*worked_out(), *recorded()])
def test_reward_actor_matches_recorded_and_computed_cases(
    file: dict[str, Any], case: dict[str, Any], bundle: str
) -> None:
    assert list(CaseFile(file, Bundle.open(bundle)).run(case)) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("exit", 16, "exit 0, expected 16"),
        ("head", "80", "head 8f"),
        ("balance_changes", {"2": "-4"}, "balance_changes {'2': '-3', '99': '2', '110': '1'}"),
        ("events", [[]], "events []"),
        ("return", "00", "return , expected 00"),
        ("streams", "", "streams same"),
    ],
)
def test_each_actor_case_difference_is_reported(by_hand: CaseFile, name: str, value: Any, words: str) -> None:
    case = copy.deepcopy(cases_by_hand()[0])
    case["steps"][0][name] = value
    (found,) = by_hand.run(case)
    assert found.startswith("step 0 (AwardBlockReward): ")
    assert words in found


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "expected an object"),
        (b"{", "reward.json"),
        (json.dumps({**written([]), "keys": {}}).encode(), "KeyError"),
        (json.dumps({**written([]), "miner": 4711}).encode(), "the miner cannot be created"),
    ],
)
def test_invalid_case_file_fails_with_its_name(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "reward.json"
    path.write_bytes(content)
    (record,) = run_case_file(path, "own-v19")
    assert not record["pass"]
    assert words in record["error"]


def test_a_case_of_another_form_fails_and_the_others_run(tmp_path: Path) -> None:
    path = tmp_path / "reward.json"
    path.write_text(json.dumps(written([{"name": "empty"}, *cases_by_hand()])))
    records = run_case_file(path, "own-v19")
    assert [record["pass"] for record in records] == [False, True, True]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="absent"):
        find_files([tmp_path / "absent"])


FILES = tuple(sorted((GOLDEN / "features").glob("*.jsonl.gz")))
BUILT_IN_ACTORS_RUN = (
    "upgrade/to-official-",
    "upgrade/calls@",
    "upgrade/pays@",
    "install/official-",
    "install/created/by",
)
SAMPLE = 4
"""Every fourth vector; `make conformance` runs all."""


def results(step: int = SAMPLE, only: str = "") -> Iterator[VectorResult]:
    left_out = ("none",) if fvm_data() else BUILT_IN_ACTORS_RUN
    bundles = BundleFolder(bundle_folder())
    for path in FILES:
        wanted = open_vector(path, bundles, wanted=lambda name, _after: only in name and not name.startswith(left_out))
        yield from map(run_variant, islice(wanted, 0, None, step))


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["raw", "plain"])
def test_machine_matches_reference_with_features(boundary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FVM_BOUNDARY", boundary)
    done = list(results(SAMPLE if boundary == "raw" else 10 * SAMPLE))
    assert {result.vector: result.differences for result in done if not result.passed} == {}
    assert len(done) > (200 if boundary == "raw" else 20)


def test_a_feature_is_an_overlay_of_its_rule() -> None:
    names = ("m2-native", "upgrade-actor")
    both = with_features(names)
    assert both is not None
    assert both == Overlay("any", SINCE, None, rules=(("installs_code", True), ("upgrades_actors", True)))
    assert features_of(both) == names
    assert with_features([]) is None
    written = parse_overlay({"since": 21, "rules": {"installs_code": True, "upgrades_actors": True}}, "file")
    assert written.digest == both.digest


def test_a_feature_comes_on_top_of_an_overlay() -> None:
    prices = Overlay("prices", 18, None, prices=(("syscall", 1000),))
    joined = with_features(["upgrade-actor"], prices)
    assert joined is not None
    assert (joined.since, joined.prices, features_of(joined)) == (SINCE, prices.prices, ("upgrade-actor",))


@pytest.mark.parametrize(
    ("names", "overlay", "words"),
    [
        (["async"], None, "feature 'async' is not known: choose one of m2-native, upgrade-actor"),
        (
            ["m2-native"],
            Overlay("old", 18, 20, prices=(("syscall", 1),)),
            "'old' ends at nv20: m2-native begins at nv21",
        ),
    ],
)
def test_invalid_feature_is_rejected(names: list[str], overlay: Overlay | None, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        with_features(names, overlay)


def test_a_file_turns_a_feature_on_for_versions_that_can_have_it() -> None:
    with pytest.raises(InvalidInput, match="set `since = 21`"):
        parse_overlay({"rules": {"upgrades_actors": True}}, "file")
