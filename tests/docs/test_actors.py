"""docs/actors.md: its table matches the actors, its tests exist, and its Python runs."""

import re
from pathlib import Path

import pytest

from bridge.filecoin.parameters import method_number
from tests.docs.actors_page import BEGIN, END, HELD, PAGE, Row, found_rows, table

ACTORS_PAGE = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found() -> list[Row]:
    return found_rows()


@pytest.mark.slow
def test_actors_table_matches_actor_responses(found: list[Row]) -> None:
    written = ACTORS_PAGE.split(BEGIN)[1].split(END)[0]
    assert written == table(found), "run `make actors-page`"


def test_omitted_official_miner_methods_are_those_of_proofs(found: list[Row]) -> None:
    """The expected methods are those of actors.md 4.15, not of the actor."""
    assert {number for row in found if not row.own and not row.new for number in row.numbers} == {
        5, 9, 11, 15, 17, 19, 20, 24, 28, 32, 34, 35, 36,
    }  # fmt: skip


def test_table_lists_methods_added_removed_and_frozen_by_nv29(found: list[Row]) -> None:
    """FIP-0118: nine methods of f02 and one of miners; the market loses two; DataCap and registry are read-only."""
    assert [row.numbers for row in found if row.new and row.actor == "storageminer"] == [(37,)]
    assert sorted(row.method for row in found if row.new and row.actor == "reward") == [
        "CancelPending", "Claim", "RegisterStream", "RemoveStream", "ReplaceAddress", "SetDistribution", "SetShares",
        "SetWeightRecords", "StepWeightRecords",
    ]  # fmt: skip
    assert {row.later for row in found if row.new} == {"yes"}
    assert [(row.actor, row.numbers) for row in found if row.own and row.later == "no: 22"] == [
        ("storagemarket", (5,)), ("storagemarket", (6,)),
    ]  # fmt: skip
    frozen = {actor: {row.method for row in found if (row.actor, row.later) == (actor, "frozen: 18")} for actor in HELD}
    assert frozen.pop("verifiedregistry") == {
        "AddVerifier", "RemoveVerifier", "AddVerifiedClient", "RemoveVerifiedClientDataCap", "RemoveExpiredAllocations",
        "ClaimAllocations", "ExtendClaimTerms", "RemoveExpiredClaims", "Receive",
    }  # fmt: skip
    assert frozen.pop("datacap") == {
        "Mint", "Destroy", "Transfer", "TransferFrom", "IncreaseAllowance", "DecreaseAllowance", "RevokeAllowance",
        "Burn", "BurnFrom",
    }  # fmt: skip
    assert not any(frozen.values())


def test_development_method_numbers_are_hashes_of_their_names() -> None:
    for name, number in re.findall(r"`(DevelopmentOnly\w+)` \| (\d+)", ACTORS_PAGE):
        assert method_number(name) == int(number)


@pytest.mark.slow
def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tip_jar.wasm", "interface.ipldsch"):
        (tmp_path / name).symlink_to(PAGE.parents[1] / "hypervisor" / "builtin_actors" / "template" / "tip_jar" / name)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", ACTORS_PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    for code in blocks:
        exec(compile(code, str(PAGE), "exec"), {})
