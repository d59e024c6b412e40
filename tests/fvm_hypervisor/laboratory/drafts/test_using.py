"""Draft versions in `compare`, `gas` and `conformance`: the edited price is the only difference."""

import json
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from hypervisor.versions.network_versions import NV29
from localnet import Network
from store.cid import show
from tests.command import run
from tests.conftest import bundle_folder
from tests.fvm_hypervisor.laboratory.small_actor import ADDRESS, METHOD, NAME, SmallActor
from tests.localnet.conftest import Clock

SEND = Path(__file__).resolve().parents[2] / "golden" / "send.jsonl.gz"
DEARER = NV29.prices.transfer // 1000 + 7
"""Price of a transfer of value in gas, with 7 gas added."""


def report(*arguments: object) -> dict[str, Any]:
    done = run("compare", *arguments, "--json", "--workers", 1)
    assert done.exit_code in (0, 1), done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    file = tmp_path / "nv30-draft.toml"
    file.write_text(f"number = 30\nbase = 29\n[prices]\ntransfer = {DEARER}\n", encoding="utf-8")
    return file


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Return a chain of nv29 with three transfers and a call without value."""
    with Network(tmp_path / "chain", clock=Clock()) as network:
        alice, bob, *_ = network.accounts
        for _ in range(3):
            network.send_native(bob.native, value=1, sender=alice.native)
        network.send_native(bob.native, sender=alice.native)
    return tmp_path / "chain"


@pytest.mark.slow
def test_each_transfer_costs_the_edited_price_and_nothing_else_changes(chain: Path, draft: Path) -> None:
    found = report(chain, "--network", draft)
    charges = {row["name"]: (row["a"], row["b"]) for row in found["changed"]["charges"]}
    ((calls, before), (same, after)) = charges["OnValueTransfer"]
    assert charges.keys() == {"OnValueTransfer"}
    assert calls == same
    assert after - before == 7_000 * calls  # milligas
    assert calls >= 3
    assert report(chain, "--network", "nv29")["same"]


@pytest.mark.slow
def test_draft_and_base_version_are_two_sides(chain: Path, draft: Path) -> None:
    one, two = report(chain, "--network", f"nv29,{draft}"), report(chain, "--network", draft)
    assert one["changed"] == two["changed"]
    assert [side["network"] for side in (one["a"], one["b"])] == [29, 30]


def test_price_on_the_command_line_is_added_to_the_draft(chain: Path, draft: Path) -> None:
    plain = NV29.prices.transfer // 1000
    assert report(chain, "--network", draft, "--price", f"transfer={plain}")["same"]


def test_new_draft_is_written_from_the_newest_version(tmp_path: Path) -> None:
    done = run("version", "new", "nv30-draft", "--folder", tmp_path, "--json")
    assert json.loads(done.stdout) == {"path": str(tmp_path / "nv30-draft.toml"), "number": 30, "base": 29}
    done = run("version", "new", "older", "--folder", tmp_path, "--from", "nv27", "--migration")
    assert done.stdout == f"{tmp_path / 'older.toml'}: nv28, from nv27\n"
    assert {file.name for file in tmp_path.iterdir()} == {"nv30-draft.toml", "older.toml", "older.py"}


def test_edited_price_is_listed(draft: Path) -> None:
    listed = json.loads(run("compare", "--list-prices", "--network", draft, "--json").stdout)
    assert (listed["network"], listed["prices"]["transfer"]) == (30, DEARER * 1000)


def test_draft_and_overlay_exclude_each_other(chain: Path, draft: Path) -> None:
    for command in (["compare", chain], ["conformance", SEND]):
        overlay = draft.with_name("overlay.toml")
        overlay.write_text("[prices]\nsyscall = 1\n", encoding="utf-8")
        done = run(*command, "--network", draft, "--overlay", overlay)
        assert (done.exit_code, "cannot be used together: add the overlay's tables to the draft" in done.output) == (
            2,
            True,
        ), done.output


@pytest.mark.slow
def test_module_of_a_draft_runs_under_the_code_of_the_recorded_actor(tmp_path: Path) -> None:
    chain = tmp_path / "chain"
    with Network(chain, bundle=SmallActor().bundle(tmp_path / "small.car"), clock=Clock()) as network:
        network.send_native(ADDRESS, METHOD)
    (tmp_path / "other.wasm").write_bytes(SmallActor(said=b"other").module())
    draft = tmp_path / "draft.toml"
    draft.write_text(f'number = 30\nbase = 29\n[actors]\n{NAME} = "other.wasm"\n', encoding="utf-8")
    found = report(chain, "--network", draft)
    assert {kind: count for kind, count in found["kinds"].items() if count} == {"events": 1}
    assert report(chain, "--network", "nv29")["same"]


@pytest.mark.slow
def test_module_of_a_draft_leaves_the_other_recorded_actors(tmp_path: Path) -> None:
    """The states of nv28 have the layouts of actors v18, which this project's actors v19 cannot read."""
    with Network(tmp_path / "chain", network=28, clock=Clock()) as network:
        network.send_native(network.accounts[1].native, value=1)
    (tmp_path / "small.wasm").write_bytes(SmallActor().module())
    draft = tmp_path / "draft.toml"
    draft.write_text(f'number = 30\nbase = 29\n[actors]\n{NAME} = "small.wasm"\n', encoding="utf-8")
    assert report(tmp_path / "chain", "--network", draft)["same"]


@pytest.mark.slow
def test_vector_runs_with_the_module_of_a_draft(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", bundle=SmallActor().bundle(tmp_path / "small.car"), clock=Clock()) as network:
        message = show(network.send_native(ADDRESS, METHOD).execution.message.cid())
    vector = tmp_path / "vector.json"
    bundles = "--bundle-dir", tmp_path
    done = run("extract", message, "--state", tmp_path / "chain", "--out", vector, *bundles)
    assert done.exit_code == 0, done.output
    draft = tmp_path / "draft.toml"
    draft.write_text(f'number = 30\nbase = 29\n[actors]\n{NAME} = "other.wasm"\n', encoding="utf-8")
    for actor, status in (SmallActor(), 0), (SmallActor(turns=101), 1):
        (tmp_path / "other.wasm").write_bytes(actor.module())
        assert run("conformance", vector, "--network", draft, "--workers", 1, *bundles).exit_code == status


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(next(iter(read_vectors(SEND)))), encoding="utf-8")
    return file


def test_vectors_run_under_the_draft(vector: Path, draft: Path) -> None:
    def result(*options: object) -> dict[str, Any]:
        done = run("conformance", vector, "--json", "--workers", 1, "--bundle-dir", bundle_folder(), *options)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[0])
        return found

    price = NV29.prices.message_compute // 1000
    draft.write_text(f"number = 30\nbase = 29\n[prices]\nmessage_compute = {price + 7}\n", encoding="utf-8")
    plain, dearer = result(), result("--network", draft)
    assert result("--network", "nv29") == plain
    assert (plain["pass"], dearer["pass"]) == (True, False)
    assert dearer["gas_used"] == plain["gas_used"] + 7


@pytest.mark.parametrize("command", [("replay", "live"), ("extract", "5", "--state", "live", "--out", "out.json")])
def test_published_version_is_refused_where_a_draft_is_expected(command: tuple[str, ...]) -> None:
    result = run(*command, "--network", "nv29")
    assert result.exit_code != 0
    assert "--network nv29 is not a draft's file: name one that ends in .toml" in result.stderr
