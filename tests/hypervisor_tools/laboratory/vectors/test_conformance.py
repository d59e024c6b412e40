"""Output of `conformance --diff` for a failing vector: a difference of one gas is reported by charge and position."""

import base64
import copy
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.gas import HYGGE, in_gas
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID, TokenAmount
from hypervisor.versions.network_versions import NV18, NV28
from hypervisor_tools.laboratory.vectors.conformance import archive_bytes, find_vectors, manifest_of, read_vectors
from hypervisor_tools.laboratory.vectors.run_files import (
    Record,
    RunOptions,
    TraceFile,
    charges_of,
    first_difference,
    run_file,
    state_differences,
    totals,
)
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.car.files import read_car, write_car
from store.cid import RAW, Cid, cid_of
from store.codec import link
from store.trees.hamt import Hamt
from store.trees.kamt import Kamt
from tests.command import run
from tests.command import run as run_command
from tests.conformance.tipset_corpus import file_of
from tests.conftest import bundle_folder, data_file
from tests.golden_cases import GOLDEN

CODE = cid_of(b"some code", RAW)


@pytest.fixture
def vector(tmp_path: Path) -> Path:
    """Return a message that opens five blocks, as executed by the reference."""
    with gzip.open(GOLDEN / "ipld.jsonl.gz", "rt", encoding="utf-8") as lines:
        (line,) = (line for line in lines if '"id":"ipld/open/raw-and-plain-cbor@nv28"' in line)
    path = tmp_path / "vector.json"
    path.write_text(line, encoding="utf-8")
    return path


@pytest.mark.slow
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
    record = run_vector(trace=True)
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps({"id": f"{record['vector']}:{record['variant']}", "trace": record["trace"]}) + "\n")
    return path


@pytest.fixture
def error(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Increase the price of opening a block by one gas."""
    prices = NV28.prices
    dearer = replace(NV28, prices=replace(prices, name="dearer", block_open_flat=prices.block_open_flat + 1000))
    with monkeypatch.context() as patch:
        patch.setattr("hypervisor_tools.laboratory.vectors.conformance.network_version", lambda *_: dearer)
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
    dearer = replace(NV18, prices=replace(HYGGE, name="dearer", block_open_flat=HYGGE.block_open_flat + 1000))
    monkeypatch.setattr("hypervisor_tools.laboratory.vectors.conformance.network_version", lambda *_: dearer)
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
def test_command_keeps_traces_and_compares_with_them(vector: Path, tmp_path: Path) -> None:
    traces = tmp_path / "traces.jsonl"
    common = ["conformance", str(vector), "--bundle-dir", str(GOLDEN / "manifests"), "--workers", "1"]
    assert run_command(*common, "--trace", str(traces)).exit_code == 0
    assert run_command(*common, "--against", str(traces), "--diff").exit_code == 0
    traces.write_text(traces.read_text().replace('["OnBlockOpenBase", 187740000,', '["OnBlockOpenBase", 187741000,'))
    again = run_command(*common, "--against", str(traces), "--diff")
    assert again.exit_code == 1
    assert "OnBlockOpenBase 187,741" in again.stdout


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
def test_same_sums_in_other_steps_are_no_difference(ours: list[Any], theirs: list[Any]) -> None:
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
def test_first_difference_is_behind_the_last_agreement(ours: list[Any], theirs: list[Any], agreed: int) -> None:
    assert f"the first {agreed} charges agree" in first_difference(ours, theirs)[0]


def test_charges_have_their_calls_and_sums() -> None:
    message = [["a", 1], {"call": "f01", "method": 2}, ["b", 2], {"call": "f05", "method": 3}, ["a", 4], {"return": 0}]
    message += [["b", 8], {"error": 6}, ["c", 16]]
    assert [(charge.name, charge.total, charge.calls) for charge in charges_of(message)] == [
        ("a", 1, ()),
        ("b", 3, ("f01 method 2",)),
        ("a", 7, ("f01 method 2", "f05 method 3")),
        ("b", 15, ("f01 method 2",)),
        ("c", 31, ()),
    ]
    assert totals(message) == {"c": (1, 16), "b": (2, 10), "a": (2, 5)}
    assert [in_gas(amount) for amount in (1_234_500, 14_000_000, -400, 0)] == ["1,234.5", "14,000", "-0.4", "0"]


@pytest.mark.parametrize("text", ["{}\n", "no json\n", '{"id": 7, "trace": []}\n', '{"trace": [], "id": "a"}\n'])
def test_file_that_holds_no_traces_is_refused_with_the_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text('{"id":"a:b","trace":[[["x",1]]]}\n' + text)
    with pytest.raises(InvalidInput, match="line 2 is not a trace"):
        TraceFile(path)


class States:
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


Vector = dict[str, Any]


@cache
def sound() -> Vector:
    return next(read_vectors(GOLDEN / "self.jsonl.gz"))


def damaged(damage: Callable[[Vector], object]) -> Vector:
    vector = copy.deepcopy(sound())
    damage(vector)
    return vector


def errors(path: Path) -> list[str]:
    return [record["error"] for record in run_file(path, bundle_folder())]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda vector: vector.pop("car"), "the field 'car' is missing"),
        (lambda vector: vector["preconditions"]["state_tree"].update(root_cid="x"), "a field has another type than "),
    ],
)
def test_reason_names_missing_field_or_wrong_type(
    damage: Callable[[Vector], object], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(damaged(damage)))
    (error,) = errors(path)
    assert error.startswith(f"{path} is not a vector: {reason}")


@pytest.mark.parametrize(
    "damage",
    [
        lambda vector: vector.pop("preconditions"),
        lambda vector: vector.pop("postconditions"),
        lambda vector: vector.pop("apply_messages"),
        lambda vector: vector.update(_meta=["no", "id"]),
        lambda vector: vector.update(car=base64.b64encode(gzip.compress(b"")[:-9] + b"\xff" * 20).decode()),
        lambda vector: vector.update(proofs="acept"),
        lambda vector: vector.update(randomness=[{"on": ["chain", 1]}]),
        lambda vector: vector.update(tipsets=[{"epoch": 1}]),
        lambda vector: vector["preconditions"]["variants"][0].pop("nv"),
        lambda vector: vector["preconditions"]["variants"][0].update(nv=99),
        lambda vector: vector["preconditions"]["variants"][0].update(epoch="1"),
        lambda vector: vector["preconditions"]["variants"][0].update(epoch=True),
        lambda vector: vector["preconditions"].update(timestamp="now"),
        lambda vector: vector["preconditions"].update(basefee=1.5),
        lambda vector: vector["preconditions"].update(chain_id=None),
        lambda vector: vector["preconditions"].update(circ_supply=[1]),
        lambda vector: vector["preconditions"].update(circ_supply=1 << 200),
        lambda vector: vector.update(randomness=[{"on": ["chain", 1], "ret": "abc"}]),
        lambda vector: vector.update(tipsets=[{"epoch": "1", "cid": vector["bundle"]}]),
        lambda vector: vector.update(consensus_fault={"target": "f01", "epoch": 1, "type": 1}),
        lambda vector: vector.update(consensus_fault=[1]),
        lambda vector: vector["postconditions"]["receipts"][0].update(gas_used="7"),
        lambda vector: vector["apply_messages"][0].update(raw_length="7"),
        lambda vector: vector["preconditions"]["state_tree"].update(vector["bundle"], root_cid=vector["bundle"]),
        lambda vector: vector["postconditions"].update(receipts=[]),
        lambda vector: vector["postconditions"]["receipts"][0].pop("gas_used"),
        lambda vector: vector["postconditions"].update(state_tree={}),
        lambda vector: vector.update(apply_messages=[], postconditions={**vector["postconditions"], "receipts": []}),
    ],
)
def test_damaged_vector_is_a_failed_record(damage: Callable[[Vector], object], tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(damaged(damage)))
    (error,) = errors(path)
    assert error.startswith(f"{path} is not a vector: ")


@cache
def sound_tipset() -> Vector:
    """Return a tipset with null rounds and a message, for actors whose manifest is in the repository."""
    vectors = read_vectors(file_of(27))
    return next(one for one in vectors if "null_rounds" in _tipset(one) and _block(one)["messages"])


def _tipset(vector: Vector) -> Vector:
    tipset: Vector = vector["apply_tipsets"][0]
    return tipset


def _block(vector: Vector) -> Vector:
    block: Vector = _tipset(vector)["blocks"][0]
    return block


@pytest.mark.parametrize(
    "damage",
    [
        lambda vector: vector.update({"class": "blockseq"}),
        lambda vector: vector.pop("apply_tipsets"),
        lambda vector: vector.update(apply_tipsets=[]),
        lambda vector: vector["postconditions"].pop("receipts_roots"),
        lambda vector: vector["postconditions"].update(receipts_roots=[]),
        lambda vector: vector["postconditions"]["receipts"].pop(),
        lambda vector: _tipset(vector).pop("basefee"),
        lambda vector: _tipset(vector).update(epoch_offset=-1),
        lambda vector: _tipset(vector).update(epoch_offset="1"),
        lambda vector: _tipset(vector).update(epoch_offset=1 << 60),
        lambda vector: _tipset(vector)["null_rounds"][0].update(epoch_offset=99),
        lambda vector: _tipset(vector)["null_rounds"][0].update(circ_supply=None),
        lambda vector: _tipset(vector).update(blocks=[]),
        lambda vector: _block(vector).update(miner_addr="f0x"),
        lambda vector: _block(vector).update(win_count="1"),
        lambda vector: _block(vector)["messages"].pop(),
        lambda vector: _block(vector).update(messages=["gA=="]),
        lambda vector: _block(vector).update(raw_lengths=[]),
        lambda vector: _block(vector).update(cids=[]),
        lambda vector: _block(vector).update(cids=["bafy"]),
        lambda vector: _block(vector).update(cids=[{"/": "bafy"}]),
    ],
)
def test_incomplete_tipset_is_a_failed_record(damage: Callable[[Vector], object], tmp_path: Path) -> None:
    vector = copy.deepcopy(sound_tipset())
    damage(vector)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(vector))
    (error,) = errors(path)
    assert error.startswith(f"{path} is not a vector: "), error


def test_damaged_vector_takes_no_result_of_another_with_it(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl.gz"
    good = json.dumps(sound())
    nowhere = json.dumps(damaged(lambda vector: vector["preconditions"]["variants"][0].update(epoch="1")))
    deep = "[" * 1_500 + "]" * 1_500
    path.write_bytes(gzip.compress("\n".join([good, "{no json", nowhere, deep, good]).encode()))
    records = run_file(path, bundle_folder())
    assert [record["pass"] for record in records] == [True, False, False, False, True]
    name = sound()["_meta"]["id"]
    assert [record["vector"] for record in records] == [name, "some.jsonl", name, "some.jsonl", name]


def test_damaged_file_keeps_the_results_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(sound()).encode() + b"\n") + b"\x1f\x8b\x08 and no more")
    first, last = run_file(path, bundle_folder())
    assert (first["pass"], last["pass"], last["vector"]) == (True, False, "cut.jsonl")
    assert "is not a vector: " in last["error"]


def test_damaged_file_of_golden_vectors_is_a_failed_record(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl.gz"
    whole = gzip.compress(json.dumps(sound()).encode() + b"\n")
    path.write_bytes(whole[:40] + b"\xff" * 20 + whole[60:])
    (error,) = errors(path)
    assert error.startswith(f"{path} is not a vector: ")


def test_state_that_lacks_a_block_is_a_failed_record(tmp_path: Path) -> None:
    reader = read_car(io.BytesIO(gzip.decompress(base64.b64decode(sound()["car"]))))
    blocks = list(reader)
    failed = 0
    for missing in range(len(blocks)):
        car = io.BytesIO()
        write_car(car, reader.roots, blocks[:missing] + blocks[missing + 1 :])
        path = tmp_path / f"{missing}.json"
        path.write_text(json.dumps(sound() | {"car": base64.b64encode(gzip.compress(car.getvalue())).decode()}))
        (error,) = errors(path)
        failed += bool(error)
    assert failed > len(blocks) // 2


@pytest.mark.slow
def test_bomb_in_a_vector_or_around_it_is_a_failed_record(tmp_path: Path) -> None:
    """The data expands from 65 KB to 64 MiB and a byte."""
    bomb = gzip.compress(bytes((64 << 20) + 1))
    inside, around, long = (tmp_path / name for name in ("inside.json", "around.jsonl.gz", "long.json"))
    inside.write_text(json.dumps(sound() | {"car": base64.b64encode(bomb).decode()}))
    around.write_bytes(bomb)
    with long.open("wb") as file:
        file.truncate((64 << 20) + 1)
    for path in (inside, around, long):
        (error,) = errors(path)
        assert f"{path} is not a vector: " in error
        assert "67,108,864 bytes" in error


NAME = "sample-1"


def files() -> dict[str, bytes]:
    """Return the files of an archive with two vectors that run no built-in actor."""
    vectors = {
        f"vectors/nv{vector['_meta']['id'][-2:]}/{number}.json": vector
        for number, vector in zip(range(2), read_vectors(GOLDEN / "self.jsonl.gz"), strict=False)
    }
    found = {path: json.dumps(vector).encode() for path, vector in vectors.items()} | {"README.md": b"read me\n"}
    return found | {"manifest.json": manifest_of({"license": "MIT"}, vectors, found)}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(archive_bytes(NAME, files()))) as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / NAME


def conformance(path: Path) -> Any:
    arguments = ["conformance", str(path), "--workers", "1", "--bundle-dir", str(bundle_folder())]
    return run(*arguments)


def test_unpacked_archive_runs_without_its_manifest(unpacked: Path) -> None:
    found = conformance(unpacked)
    assert (found.exit_code, "2 passed, 0 failed" in found.stderr) == (0, True), found.output


def test_manifest_counts_vectors_and_has_the_digest_of_each_file(unpacked: Path) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["vectors"] == 2
    assert sum(manifest["counts"][name]["message"] for name in manifest["counts"]) == 2
    assert sorted(manifest["files"]) == sorted(files().keys() - {"manifest.json"})
    for name, entry in manifest["files"].items():
        data = (unpacked / name).read_bytes()
        assert entry == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_archive_depends_on_neither_time_nor_order_nor_system(monkeypatch: pytest.MonkeyPatch) -> None:
    first = archive_bytes(NAME, files())
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert archive_bytes(NAME, dict(reversed(files().items()))) == first
    assert first[4:10] == bytes(4) + first[8:9] + b"\x03"  # no time; the system is Unix (RFC 1952)
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert {(one.mtime, one.uid, one.gid, one.uname, one.mode) for one in tar} == {(0, 0, 0, "", 0o644)}
        assert tar.getnames() == sorted(f"{NAME}/{name}" for name in files())


def _alter(folder: Path) -> None:
    path = next((folder / "vectors").rglob("*.json"))
    path.write_bytes(path.read_bytes().replace(b'"gas_used":', b'"gas_used": '))


def _remove(folder: Path) -> None:
    next((folder / "vectors").rglob("*.json")).unlink()


def _add(folder: Path) -> None:
    (folder / "vectors" / "own.json").write_text("{}")


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


@pytest.mark.usefixtures("high_limit")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_alter, ".json is altered: its SHA-256 is "),
        (_remove, ".json is missing, but "),
        (_add, "own.json is not in "),
        (_edit(lambda manifest: manifest.update(format=2)), "its format is 2, expected 1"),
        (_edit(lambda manifest: manifest.pop("files")), "manifest.json is not a manifest of vectors: KeyError"),
        (_edit(lambda manifest: manifest.update(files=[])), "manifest.json is not a manifest of vectors: "),
        (_edit(lambda manifest: manifest["files"].update({"../x": {"sha256": ""}})), "lists '../x', which is not a"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "is not a manifest of vectors"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff"), "is not a manifest of vectors"),
    ],
)
def test_damaged_archive_is_refused_with_the_file(unpacked: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(unpacked)
    found = conformance(unpacked)
    assert (found.exit_code, words in found.stderr) == (2, True), found.output
    assert found.stderr.count("\n") == 1
