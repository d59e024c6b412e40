"""The public archive of vectors: its contents at one version, and the refusal of altered vectors.

`make vectors ARGS=--reference` generates all of it and compares it with ref-fvm.
"""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from hypervisor_tools.laboratory.vectors.conformance import manifest_of
from hypervisor_tools.laboratory.vectors.run_files import run_file
from store.car.files import read_car, write_car
from store.cid import parse_cid, show
from store.untrusted import gunzip, gzip_bytes
from tests.conformance import public_vectors
from tests.conformance.oracle_messages import Answers
from tests.conformance.public_vectors import (
    MAX_VECTOR_BYTES,
    UPGRADE,
    Archive,
    NotEqual,
    Vectors,
    archive_of,
    failures,
    text_of,
    vectors_of,
    with_reference,
    write_or_verify,
)
from tests.conformance.tipset_corpus import ACTORS, SOURCE
from tests.conftest import bundle_folder, data_file
from tests.harness.reference import cached_program

pytestmark = pytest.mark.slow

VERSION: Final = 28
KINDS: Final = {
    "account", "channel", "create", "cron", "datacap", "ethaccount", "events", "evm", "fail", "init", "market", "miner",
    "multisig", "power", "precompile", "refused", "registry", "reward", "system", "transfer",
}  # fmt: skip
EXIT_CODES: Final = {0, 1, 2, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 33, 34}
"""Exit codes that the vectors of one version contain."""


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    data_file(f"bundles/v{ACTORS[VERSION]}-testing-fake-proofs.car")
    return vectors_of(VERSION)


def of(vectors: Vectors, name: str) -> dict[str, Any]:
    return vectors[f"vectors/nv{VERSION}/{name}.json"]


def errors(tmp_path: Path, vector: Any) -> list[str]:
    path = tmp_path / "vector.json"
    path.write_bytes(text_of(vector))
    return [record["error"] for record in run_file(path, bundle_folder())]


def test_vectors_are_of_every_kind(vectors: Vectors) -> None:
    messages = [path.split("/")[3] for path in vectors if path.split("/")[2] == "message"]
    tipsets = [path.split("/")[3] for path in vectors if path.split("/")[2] == "tipset"]
    assert set(messages) == KINDS
    assert set(tipsets) == {"random", "several-blocks", "upgraded"}
    assert (len(messages) >= 280, len(tipsets) >= 45) == (True, True)
    codes = {one["exit_code"] for vector in vectors.values() for one in vector["postconditions"]["receipts"]}
    assert codes >= EXIT_CODES
    assert {vector["_meta"]["id"] for vector in vectors.values()} == {
        path.removeprefix(f"vectors/nv{VERSION}/").removesuffix(".json") + f"@nv{VERSION}" for path in vectors
    }


def test_outcomes_are_those_that_the_names_state(vectors: Vectors) -> None:
    """The exit codes are those of builtin-actors and ref-fvm for these failures."""

    def code(name: str) -> int:
        (receipt,) = of(vectors, f"message/{name}")["postconditions"]["receipts"]
        number: int = receipt["exit_code"]
        return number

    def penalty(name: str) -> int:
        (receipt,) = of(vectors, f"message/{name}")["postconditions"]["receipts"]
        return int(receipt["penalty"])

    assert [code(f"fail/{name}") for name in ("missing-actor", "method-unknown", "out-of-gas-720000")] == [5, 22, 7]
    assert [code(f"evm/{name}") for name in ("revert", "invalid", "selfdestruct")] == [33, 34, 0]
    assert [code(f"multisig/{name}") for name in ("approve-and-send", "propose-by-stranger")] == [0, 18]
    assert [code(f"refused/{name}") for name in ("nonce-too-high", "sender-missing", "sender-is-an-actor")] == [2, 1, 1]
    assert penalty("refused/nonce-too-high") > 0
    assert penalty("transfer/zero") == 0


def test_vectors_are_small_and_contain_no_code_of_actors(vectors: Vectors) -> None:
    modules = set()
    for vector in vectors.values():
        assert len(text_of(vector)) <= MAX_VECTOR_BYTES
        blocks = dict(read_car(io.BytesIO(gunzip(base64.b64decode(vector["car"])))))
        assert not [cid for cid, data in blocks.items() if data.startswith(b"\0asm")]
        assert parse_cid(vector["bundle"]["/"]) not in blocks
        modules.add(vector["bundle"]["/"])
    assert len(modules) == 1


def test_upgraded_tipsets_start_after_the_upgrade(vectors: Vectors) -> None:
    found = [vector for path, vector in vectors.items() if "/tipset/upgraded/" in path]
    assert found
    for vector in found:
        assert vector["preconditions"]["variants"][0]["epoch"] > UPGRADE
        assert {one["exit_code"] for one in vector["postconditions"]["receipts"]} == {0}


def _receipt(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda vector: vector["postconditions"]["receipts"][0].update(changes)


def _without_block(vector: dict[str, Any]) -> None:
    car = io.BytesIO(gunzip(base64.b64decode(vector["car"])))
    reader = read_car(car)
    blocks = [*reader]
    changed = io.BytesIO()
    write_car(changed, reader.roots, blocks[:-1])
    vector["car"] = base64.b64encode(gzip_bytes(changed.getvalue())).decode()
    vector["lacks"] = show(blocks[-1][0])


@pytest.mark.parametrize("name", ["message/transfer/to-secp256k1-account", "tipset/upgraded/transfer"])
@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (_receipt(gas_used=1), ", expected 1 (+"),
        (_receipt(exit_code=9), ", expected 9"),
        (_receipt(**{"return": "AAAA"}), "return , expected 000000"),
        (_receipt(penalty="7"), "the miner's penalty 0, expected 7"),
        (lambda vector: vector["postconditions"]["state_tree"].update(root_cid=vector["bundle"]), "state root bafy"),
        (_without_block, "block {lacks} is not in the store"),
        (lambda vector: vector.update(bundle=None), ""),
    ],
)
def test_altered_vector_is_refused(
    vectors: Vectors, tmp_path: Path, name: str, alter: Callable[[dict[str, Any]], object], words: str
) -> None:
    vector = json.loads(text_of(of(vectors, name)))
    assert errors(tmp_path, vector) == [""]
    alter(vector)
    (error,) = errors(tmp_path, vector)
    assert words.format(lacks=vector.get("lacks")) in error
    assert bool(error) == bool(words)  # the state names its bundle, the field is for readers


def few(vectors: Vectors) -> Vectors:
    return {path: vector for path, vector in vectors.items() if "/message/transfer/" in path}


def test_archive_is_the_same_again_and_names_what_differs(vectors: Vectors, tmp_path: Path) -> None:
    archive = archive_of(few(vectors), False)
    with pytest.raises(NotEqual, match="run `make vectors` without --verify first"):
        write_or_verify(archive, tmp_path, True)
    write_or_verify(archive, tmp_path, False)
    again = archive_of({path: json.loads(text_of(vector)) for path, vector in few(vectors).items()}, False)
    assert "give the same bytes" in write_or_verify(again, tmp_path, True)
    path = f"vectors/nv{VERSION}/message/transfer/zero.json"
    other = {**few(vectors), path: {**few(vectors)[path], "proofs": "reject"}}
    with pytest.raises(NotEqual, match=f"differs in 2 files: .*manifest.json, .*/{path}"):
        write_or_verify(archive_of(other, False), tmp_path, True)


def test_archive_with_a_failing_vector_is_not_written(vectors: Vectors) -> None:
    assert [*failures(archive_of(few(vectors), False), bundle_folder(), 1)] == []
    wrong = json.loads(json.dumps(few(vectors)))
    wrong[f"vectors/nv{VERSION}/message/transfer/zero.json"]["postconditions"]["receipts"][0]["gas_used"] += 1
    (failure,) = failures(archive_of(wrong, False), bundle_folder(), 1)
    assert failure.startswith(f"message/transfer/zero@nv{VERSION}: gas ")


class AlteredReference:
    """A reference that uses one gas more in the second vector."""

    def __init__(self) -> None:
        self.asked = 0

    def __enter__(self) -> "AlteredReference":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, vector: dict[str, Any]) -> None:
        self.asked += 1
        self.after = json.loads(json.dumps(vector["postconditions"]))
        if self.asked == 2:
            self.after["receipts"][0]["gas_used"] += 1

    def answers(self) -> list[Answers]:
        return [self.after]


def test_a_vector_with_other_results_of_the_reference_is_refused(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_vectors, "Reference", AlteredReference)
    found = with_reference(few(vectors))
    _, first = next(found)
    assert {"source": SOURCE} in first["_meta"]["gen"]
    with pytest.raises(NotEqual, match=r"receipts\[0\].gas_used is "):
        next(found)


@pytest.mark.oracle
def test_the_reference_has_the_same_results(vectors: Vectors) -> None:
    """Runs only if tests/oracle is built, which takes minutes: `make oracle` builds it."""
    if not cached_program().exists():
        pytest.skip("tests/oracle is not built: `make oracle` builds it")
    every_third = dict([*vectors.items()][::3])
    assert [path for path, _ in with_reference(every_third)] == [*every_third]


def test_manifest_names_the_bundles_and_the_reference(vectors: Vectors) -> None:
    archive: Archive = archive_of(few(vectors), True)
    manifest = json.loads(public_vectors._contents(archive.data)[f"{archive.name}/manifest.json"])
    (bundle,) = manifest["bundles"]
    assert (bundle["release"], bundle["network_versions"]) == ("v18-testing-fake-proofs", [VERSION])
    assert bundle["manifest"] == of(vectors, "message/transfer/zero")["bundle"]["/"]
    assert manifest["reference"] == "ref-fvm, crate fvm 4.8.4"
    assert manifest["counts"] == {f"nv{VERSION}": {"message": len(few(vectors))}}
    assert json.loads(manifest_of({}, {}, {}))["vectors"] == 0
