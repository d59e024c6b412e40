"""Damaged files of message vectors: each is a failed record with a reason, and the run continues."""

import base64
import copy
import gzip
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fvm_hypervisor.laboratory.vectors.conformance import read_vectors
from fvm_hypervisor.laboratory.vectors.run_files import run_file
from store.car.files import read_car, write_car
from tests.conformance.golden import GOLDEN
from tests.conformance.tipset_corpus import file_of
from tests.conftest import bundle_folder

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


def test_the_vector_itself_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "sound.json"
    path.write_text(json.dumps(sound()))
    assert errors(path) == [""]


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
def test_a_damaged_vector_is_a_failed_record(damage: Callable[[Vector], object], tmp_path: Path) -> None:
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
def test_half_a_tipset_is_a_failed_record(damage: Callable[[Vector], object], tmp_path: Path) -> None:
    vector = copy.deepcopy(sound_tipset())
    damage(vector)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(vector))
    (error,) = errors(path)
    assert error.startswith(f"{path} is not a vector: "), error


def test_a_damaged_vector_takes_no_result_of_another_with_it(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl.gz"
    good = json.dumps(sound())
    nowhere = json.dumps(damaged(lambda vector: vector["preconditions"]["variants"][0].update(epoch="1")))
    deep = "[" * 1_500 + "]" * 1_500
    path.write_bytes(gzip.compress("\n".join([good, "{no json", nowhere, deep, good]).encode()))
    records = run_file(path, bundle_folder())
    assert [record["pass"] for record in records] == [True, False, False, False, True]
    name = sound()["_meta"]["id"]
    assert [record["vector"] for record in records] == [name, "some.jsonl", name, "some.jsonl", name]


def test_a_damaged_file_keeps_the_results_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(sound()).encode() + b"\n") + b"\x1f\x8b\x08 and no more")
    first, last = run_file(path, bundle_folder())
    assert (first["pass"], last["pass"], last["vector"]) == (True, False, "cut.jsonl")
    assert "is not a vector: " in last["error"]


def test_a_damaged_file_of_golden_vectors_is_a_failed_record(tmp_path: Path) -> None:
    path = tmp_path / "damaged.jsonl.gz"
    whole = gzip.compress(json.dumps(sound()).encode() + b"\n")
    path.write_bytes(whole[:40] + b"\xff" * 20 + whole[60:])
    (error,) = errors(path)
    assert error.startswith(f"{path} is not a vector: ")


def test_a_state_that_lacks_a_block_is_a_failed_record(tmp_path: Path) -> None:
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


BOMB = gzip.compress(bytes((64 << 20) + 1))


@pytest.mark.slow
def test_a_bomb_in_a_vector_or_around_it_is_a_failed_record(tmp_path: Path) -> None:
    """The data expands from 65 KB to 64 MiB and a byte."""
    inside, around, long = (tmp_path / name for name in ("inside.json", "around.jsonl.gz", "long.json"))
    inside.write_text(json.dumps(sound() | {"car": base64.b64encode(BOMB).decode()}))
    around.write_bytes(BOMB)
    with long.open("wb") as file:
        file.truncate((64 << 20) + 1)
    for path in (inside, around, long):
        (error,) = errors(path)
        assert f"{path} is not a vector: " in error
        assert "67,108,864 bytes" in error
