"""Output of `conformance --diff` for a failing vector: a difference of one gas is reported by charge and position."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.charges import TraceFile, charges_of, first_difference, totals
from fvm_hypervisor.laboratory.vectors.conformance import find_vectors
from fvm_hypervisor.laboratory.vectors.run_files import Record, RunOptions, run_file
from fvm_hypervisor.laboratory.vectors.state_diff import state_differences
from hypervisor.errors import InvalidInput
from hypervisor.gas import in_gas
from hypervisor.messages.address import Address
from hypervisor.prices import HYGGE
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID, TokenAmount
from hypervisor.versions.network_versions import NV18, NV28
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.cid import RAW, Cid, cid_of
from store.codec import link
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from tests.command import run as run_command
from tests.conformance.golden import GOLDEN
from tests.conftest import data_file

CODE = cid_of(b"some code", RAW)

# --- a vector with an error of one gas -----------------------------------------------------------------------------


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    """Return a message that opens five blocks, as executed by the reference."""
    with gzip.open(GOLDEN / "ipld.jsonl.gz", "rt", encoding="utf-8") as lines:
        (line,) = (line for line in lines if '"id":"ipld/open/raw-and-plain-cbor@nv28"' in line)
    path = tmp_path / "vector.json"
    path.write_text(line, encoding="utf-8")
    return path


def test_vectors_without_their_actors_are_counted(vector: Path, tmp_path: Path) -> None:
    line = vector.read_text(encoding="utf-8")
    many = tmp_path / "many.jsonl.gz"
    many.write_bytes(gzip.compress((line * 40).encode()))
    nowhere = tmp_path / "no bundles"
    nowhere.mkdir()
    done = run_command(
        "conformance", str(many), "--bundle-dir", str(nowhere), "--workers", "1", env={"XDG_DATA_HOME": str(nowhere)}
    )
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "0 passed, 0 failed, 40 not run, 0 skipped",
        "40 vectors were not run, since their built-in actors, v18, are not installed: `hypervisor bundle fetch "
        "v18` downloads those of mainnet, and for example `v18-testing-fake-proofs` those of test networks; or pass a "
        "folder with --bundle-dir",
    ]


@pytest.fixture
def run_vector(vector: Path) -> Callable[..., Record]:
    def run_vector(**wanted: Any) -> Record:
        (record,) = run_file(vector, GOLDEN / "manifests", RunOptions(**wanted))
        return record

    return run_vector


@pytest.fixture
def recorded(run_vector: Callable[..., Record], tmp_path: Path) -> Path:
    """Return the charges of the vector before the error is planted."""
    record = run_vector(trace=True)
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps({"id": f"{record['vector']}:{record['variant']}", "trace": record["trace"]}) + "\n")
    return path


@pytest.fixture
def error(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Increase the price of opening a block by one gas."""
    prices = NV28.prices
    planted = replace(NV28, prices=replace(prices, name="planted", block_open_flat=prices.block_open_flat + 1000))
    with monkeypatch.context() as patch:
        patch.setattr("fvm_hypervisor.laboratory.vectors.conformance.network_version", lambda *_: planted)
        yield


@pytest.mark.usefixtures("error")
def test_diff_names_possible_charges_without_expected_charges(
    run_vector: Callable[..., Record],
) -> None:
    record = run_vector(diff=True)
    assert not record["pass"]
    by_name = record["diff"][: record["diff"].index("charges in order, with the sum so far:")]
    (named,) = (line for line in by_name if "OnBlockOpenBase (" in line)
    assert "1 too much each would explain it" in named
    assert not any("OnSyscall (" in line and "explain" in line for line in by_name)


@pytest.mark.usefixtures("error")
def test_first_difference_from_expected_charges_is_shown(run_vector: Callable[..., Record], recorded: Path) -> None:
    lines = run_vector(diff=True, against=recorded)["diff"]
    agreed = next(index for index, line in enumerate(lines) if "charges agree" in line)
    assert "ours" in lines[agreed + 1]
    assert "OnBlockOpenBase 187,741," in lines[agreed + 1]
    assert any("expected" in line and "OnBlockOpenBase 187,740," in line for line in lines[agreed + 2 :])
    assert "method 2" in lines[agreed + 1]


def test_state_diff_shows_actors_with_wrong_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    # a message that pays a base fee, which the golden vectors' do not
    (path,) = find_vectors([data_file("vectors/fvm-nv18/fil_10_storagemarket/AddBalance/Ok")])[-1:]
    planted = replace(NV18, prices=replace(HYGGE, name="planted", block_open_flat=HYGGE.block_open_flat + 1000))
    monkeypatch.setattr("fvm_hypervisor.laboratory.vectors.conformance.network_version", lambda *_: planted)
    (record,) = run_file(path, data_file("bundles"), RunOptions(diff=True))
    lines = record["diff"]
    burnt, sender = lines[lines.index("state:") + 1 :]
    assert "f099 (account) balance" in burnt
    more, less = (int(line.rpartition("(")[2].rstrip(")")) for line in (burnt, sender))
    assert more == -less > 0


def test_charge_mismatch_with_recording_fails_passing_vector(run_vector: Callable[..., Record], recorded: Path) -> None:
    assert run_vector(against=recorded)["pass"]
    kept = json.loads(recorded.read_text())
    charges = [event for event in kept["trace"][0] if isinstance(event, list) and event[1] > 1000]
    charges[3][1] += 1000
    charges[4][1] -= 2000
    recorded.write_text(json.dumps(kept) + "\n")
    record = run_vector(against=recorded)
    assert not record["pass"]
    assert "message 1: the first 3 charges agree" in record["error"]


def test_trace_with_missing_messages_is_reported(run_vector: Callable[..., Record], recorded: Path) -> None:
    kept = json.loads(recorded.read_text())
    recorded.write_text(json.dumps(kept | {"trace": []}) + "\n")
    record = run_vector(diff=True, against=recorded)
    assert record["error"] == "1 messages charged, the trace has 0"
    assert "nothing more" in record["diff"][-1]


def test_vector_without_recorded_trace_is_reported(run_vector: Callable[..., Record], tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    assert run_vector(against=tmp_path / "none.jsonl")["error"] == "no trace of that id to compare with"


@pytest.mark.slow
def test_the_command_keeps_traces_and_compares_with_them(vector: Path, tmp_path: Path) -> None:
    traces = tmp_path / "traces.jsonl"
    common = ["conformance", str(vector), "--bundle-dir", str(GOLDEN / "manifests"), "--workers", "1"]
    assert run_command(*common, "--trace", str(traces)).exit_code == 0
    assert run_command(*common, "--against", str(traces), "--diff").exit_code == 0
    traces.write_text(traces.read_text().replace('["OnBlockOpenBase", 187740000,', '["OnBlockOpenBase", 187741000,'))
    again = run_command(*common, "--against", str(traces), "--diff")
    assert again.exit_code == 1
    assert "OnBlockOpenBase 187,741" in again.stdout


# --- lists of charges --------------------------------------------------------------------------------------------


def listed(*amounts: int) -> list[Any]:
    return [{"call": "f01", "method": 2}, *(["charge", amount] for amount in amounts), {"return": 0}]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (listed(5, 7, 9), listed(5, 7, 9)),
        (listed(5, 7, 9), listed(0, 5, 0, 7, 9, 0)),
        (listed(12, 9), listed(5, 7, 9)),
        (listed(3, 2, 7, 9), listed(5, 16)),
    ],
)
def test_the_same_sums_in_other_steps_are_no_difference(ours: list[Any], theirs: list[Any]) -> None:
    assert first_difference(ours, theirs) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        (listed(5, 7, 9), listed(5, 8, 9), 1),
        (listed(5, 7), listed(5, 7, 9), 2),
        (listed(5, 7, 9), listed(5, 7), 2),
        (listed(6, 7), listed(5, 7), 0),
        (listed(), listed(1), 0),
    ],
)
def test_the_first_difference_is_behind_the_last_agreement(ours: list[Any], theirs: list[Any], agreed: int) -> None:
    assert f"the first {agreed} charges agree" in first_difference(ours, theirs)[0]


def test_charges_know_their_calls_and_sums() -> None:
    message = [["a", 1], {"call": "f01", "method": 2}, ["b", 2], {"call": "f05", "method": 3}, ["a", 4], {"return": 0}]
    message += [["b", 8], {"error": 6}, ["c", 16]]
    told = [(charge.name, charge.total, charge.calls) for charge in charges_of(message)]
    assert told == [
        ("a", 1, ()),
        ("b", 3, ("f01 method 2",)),
        ("a", 7, ("f01 method 2", "f05 method 3")),
        ("b", 15, ("f01 method 2",)),
        ("c", 31, ()),
    ]
    assert totals(message) == {"c": (1, 16), "b": (2, 10), "a": (2, 5)}
    assert [in_gas(amount) for amount in (1_234_500, 14_000_000, -400, 0)] == ["1,234.5", "14,000", "-0.4", "0"]


@pytest.mark.parametrize("text", ["{}\n", "no json\n", '{"id": 7, "trace": []}\n', '{"trace": [], "id": "a"}\n'])
def test_a_file_that_holds_no_traces_is_refused_with_the_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text('{"id":"a:b","trace":[[["x",1]]]}\n' + text)
    with pytest.raises(InvalidInput, match="line 2 is not a trace"):
        TraceFile(path)


# --- states --------------------------------------------------------------------------------------------------------


class States:
    """States over one store."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.empty = StateTree.empty(self.store).flush()

    def state(self, **actors: ActorState) -> Cid:
        """Return a state with actors by name: `f01000=...`."""
        tree = StateTree(self.store, self.empty)
        for name, state in actors.items():
            tree.set_actor(ActorID(int(name[2:])), state)
        return tree.flush()

    def differences(self, ours: Cid, expected: Cid) -> list[str]:
        return list(state_differences(self.store, ours, expected, {CODE: "counter"}))


@pytest.fixture
def states() -> States:
    return States()


def many(count: int) -> dict[str, ActorState]:
    return {f"f0{number}": ActorState(CODE, nonce=number) for number in range(1000, 1000 + count)}


def test_equal_states_have_no_differences(states: States) -> None:
    assert states.differences(states.state(**many(50)), states.state(**many(50))) == []


def test_actors_are_compared_field_by_field(states: States) -> None:
    ours, other = many(50), many(50)
    ours["f01007"] = replace(ours["f01007"], nonce=5, balance=TokenAmount(100))
    other["f01007"] = replace(other["f01007"], balance=TokenAmount(99))
    del ours["f01020"]
    del other["f01033"]
    assert sorted(states.differences(states.state(**ours), states.state(**other))) == [
        "f01007 (counter) balance: 100, expected 99 (+1)",
        "f01007 (counter) nonce: 5, expected 1007",
        "f01020 (counter) is missing",
        "f01033 (counter) is unexpected",
    ]


def test_actor_state_diff_descends_to_differing_node(states: States) -> None:
    def head(entry: int, field: int) -> Cid:
        table = Hamt(states.store)
        for number in range(40):
            table.set(Address.id(number).to_bytes(), [number, entry if number == 7 else 0])
        inner = put_object(states.store, {"name": "x", "deep": [1, field]})
        return put_object(states.store, [link(table.flush()), link(inner), 5])

    roots = [states.state(f01000=ActorState(CODE, head(*fields))) for fields in ((1, 3), (2, 4))]
    assert states.differences(*roots) == [
        "f01000 (counter) state.0[f07].1: 1, expected 2",
        "f01000 (counter) state.1.deep.1: 3, expected 4",
    ]


def test_state_behind_missing_block_is_reported_as_not_compared(states: States) -> None:
    gone = cid_of(b"\x01")
    ours = states.state(f01000=ActorState(CODE, put_object(states.store, 2)), f01001=ActorState(CODE, nonce=1))
    other = states.state(f01000=ActorState(CODE, gone), f01001=ActorState(CODE, nonce=2))
    missing, nonce = sorted(states.differences(ours, other))
    assert "is not in the store" in missing
    assert nonce == "f01001 (counter) nonce: 1, expected 2"
    (line,) = states.differences(ours, gone)
    assert "cannot be compared" in line


@pytest.mark.slow
def test_tree_with_hamt_like_root_is_shown_by_its_cids(states: States) -> None:
    """A contract's storage with many slots: the root has only links, like a HAMT root; its entries are deeper."""
    heads = []
    for last in (1, 2):
        storage = Kamt(states.store)
        for slot in range(2_000):
            storage.set(slot << 200 | slot, last if slot == 1_999 else 7)
        root = storage.flush()
        heads.append(put_object(states.store, [link(root)]))
    ours, expected = (states.state(f01000=ActorState(CODE, head=head)) for head in heads)
    (line,) = states.differences(ours, expected)
    assert line.startswith("f01000 (counter) state.0: bafy")
