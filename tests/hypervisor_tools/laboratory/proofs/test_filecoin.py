"""Proofs of the state and of events of a network of this project, below a certified block header."""

import json
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import to_filecoin
from hypervisor.errors import InvalidInput
from hypervisor_tools.laboratory.proofs import filecoin
from hypervisor_tools.laboratory.proofs.f3 import Committee, TrustedState, encode_certificate, follow
from localnet import Network
from localnet.state.inspection import PathNotFound
from store.blockstore import Blockstore
from store.cid import Cid, cid_of, show
from store.codec import encode
from store.trees.paths import ProofError
from tests.command import run

ARTIFACT = Path(__file__).parents[4] / "examples" / "solidity" / "artifacts" / "DataCapName.json"
EVENT = "receipts/0/events/0"
STATE = "f090/balance"


@dataclass
class Source:
    """A closed network's folder, the header after the message that emitted an event, and the proofs of both paths."""

    folder: Path
    header: Cid
    epoch: int
    contract: int
    proofs: dict[str, list[tuple[Cid, bytes]]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("source") / "chain"
    with Network(folder) as network:
        contract = network.deploy(ARTIFACT)
        contract.send("keep")
        network.mine(1)
        head = network.chain.head
        actor = network.machine.state_tree.lookup_id(to_filecoin(contract.address))
        assert actor is not None
        proofs = {path: filecoin.proof_of(network.machine.store, head.block, read(path)) for path in (EVENT, STATE)}
        return Source(folder, head.block, head.height, actor, proofs)


def read(path: str) -> Any:
    return partial(_read_path, path)


def _read_path(path: str, store: Blockstore, header: Cid) -> Any:
    return filecoin.read_proven_path(store, header, path)


@pytest.mark.slow
def test_event_is_proven(source: Source) -> None:
    event = filecoin.proven(source.proofs[EVENT], source.header, lambda store, at: filecoin.event_at(store, at, 0, 0))
    assert event.emitter == source.contract
    topic, data = event.entries
    # keccak256("Kept(string)"), and the ABI encoding of the string
    assert (topic.key, topic.value.hex()) == ("t1", "d8157b2069402a5dae3e97d4994734a7a6d45edb2e9cc09e22b37bb7762648ae")
    assert (data.key, data.value) == (
        "d",
        (32).to_bytes(32, "big") + (7).to_bytes(32, "big") + b"DataCap".ljust(32, b"\0"),
    )


@pytest.mark.slow
def test_state_is_proven(source: Source) -> None:
    assert filecoin.proven(source.proofs[STATE], source.header, read(STATE)) == "300000000000000000000000000"


@pytest.mark.slow
@pytest.mark.parametrize("path", [EVENT, STATE])
def test_every_missing_or_altered_node_is_refused(source: Source, path: str) -> None:
    proof = source.proofs[path]
    assert len(proof) > 2
    for at, (cid, data) in enumerate(proof):
        rest = [*proof[:at], *proof[at + 1 :]]
        with pytest.raises(ProofError, match="the blocks do not prove the value"):
            filecoin.proven(rest, source.header, read(path))
        for place in range(len(data)):
            altered = data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :]
            with pytest.raises(ProofError, match="does not match its hash"):
                filecoin.proven([*rest, (cid, altered)], source.header, read(path))
        with pytest.raises(ProofError):
            filecoin.proven([*rest, (cid_of(data + b"\0"), data + b"\0")], source.header, read(path))


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("receipts/1", InvalidInput, "there is no receipt 1: the tipset has 1 receipts"),
        ("receipts/0/events/1", InvalidInput, "there is no event 1: message 0 emitted 1"),
        ("receipts", InvalidInput, "expected receipts/MESSAGE"),
        ("receipts/x", InvalidInput, "expected receipts/MESSAGE"),
        ("receipts/0/logs/0", InvalidInput, "expected receipts/MESSAGE/events/EVENT"),
        ("receipts/0/events", InvalidInput, "expected receipts/MESSAGE"),
        ("f0999999", PathNotFound, "there is no actor"),
    ],
)
def test_path_that_leads_nowhere(source: Source, path: str, error: type[Exception], text: str) -> None:
    with Network(source.folder) as network, pytest.raises(error, match=text):
        filecoin.read_proven_path(network.machine.store, source.header, path)


@pytest.mark.parametrize("value", [[], {}, [0] * 16, [None] * 15, b"x"])
def test_block_that_is_no_header_is_refused(value: Any) -> None:
    data = encode(value)
    for path in (EVENT, STATE):
        with pytest.raises(ProofError):
            filecoin.proven([(cid_of(data), data)], cid_of(data), read(path))


@pytest.mark.slow
def test_too_many_blocks_are_refused(source: Source) -> None:
    endless = ((cid_of(data), data) for data in iter(lambda: bytes(1 << 20), b""))
    with pytest.raises(ProofError, match="64 MiB"):
        filecoin.proven(endless, source.header, read(EVENT))


def as_lotus(committee: Committee) -> list[dict[str, Any]]:
    return [
        {"ID": entry.id, "Power": str(entry.power), "PubKey": b64encode(entry.key).decode()}
        for entry in committee.table
    ]


@pytest.fixture
def certified(tmp_path: Path, source: Source) -> tuple[Path, Path]:
    """Return the files of a certificate for the header's tipset, and of the power table."""
    committee = Committee("source")
    chain = [committee.tipset(0, [cid_of(b"base")]), committee.tipset(source.epoch, [source.header])]
    certificate = committee.certify(5, chain)
    assert follow(TrustedState("source", 5, committee.table), [certificate]).instance == 6
    (tmp_path / "certificate.cbor").write_bytes(encode_certificate(certificate))
    (tmp_path / "table.json").write_text(json.dumps(as_lotus(committee)), encoding="utf-8")
    return tmp_path / "certificate.cbor", tmp_path / "table.json"


def verify_arguments(certified: tuple[Path, Path], proof: Path, path: str) -> tuple[str | Path, ...]:
    file, table = certified
    return "verify-proof", "f3", file, "--power-table", table, "--network", "source", "--proof", proof, "--path", path


@pytest.mark.slow
def test_commands_carry_an_event_from_one_network_to_another(
    tmp_path: Path, source: Source, certified: tuple[Path, Path]
) -> None:
    proof = tmp_path / "event.car"
    header = show(source.header)
    written = run("inspect", source.folder, EVENT, "--block", header, "--proof", proof, "--json")
    assert written.exit_code == 0, written.output
    alone = run("inspect", EVENT, "--verify", proof, "--block", header, "--json")
    assert (alone.exit_code, alone.stderr, json.loads(alone.stdout)) == (0, "", json.loads(written.stdout))
    for arguments in ((EVENT, "--verify", proof), (source.folder, EVENT)):
        without = run("inspect", *arguments)
        assert (without.exit_code, "pass the block header that contains them, --block CID" in without.stderr) == (
            2,
            True,
        )
    other = run("inspect", EVENT, "--verify", proof, "--block", show(cid_of(b"another header")))
    assert (other.exit_code, other.stdout, "does not prove the value" in other.stderr) == (1, "", True)
    options = verify_arguments(certified, proof, EVENT)
    found = run(*options, "--json")
    assert found.exit_code == 0, found.output
    shown = json.loads(found.stdout)
    assert (shown["block"], shown["epoch"], shown["value"]) == (header, source.epoch, json.loads(written.stdout))
    assert shown["value"]["emitter"] == f"f0{source.contract}"
    assert f"epoch: {source.epoch}\n" in run(*options).stdout
    elsewhere = run(*verify_arguments(certified, proof, "receipts/0/events/7"))
    assert (elsewhere.exit_code, elsewhere.stdout) == (2, "")


def test_block_that_no_certificate_finalizes_is_not_proven(
    tmp_path: Path, source: Source, certified: tuple[Path, Path]
) -> None:
    proof = tmp_path / "state.car"
    with Network(source.folder) as network:
        other = show(network.chain.index.tipset(source.epoch - 1).block)
    assert run("inspect", source.folder, STATE, "--block", other, "--proof", proof).exit_code == 0
    found = run(*verify_arguments(certified, proof, STATE))
    assert (found.exit_code, found.stdout) == (1, "")
    assert f"block {other} is not in a tipset that the certificates finalize" in found.stderr


def test_damaged_proof_is_invalid_input(tmp_path: Path, source: Source, certified: tuple[Path, Path]) -> None:
    proof = tmp_path / "event.car"
    assert run("inspect", source.folder, EVENT, "--block", show(source.header), "--proof", proof).exit_code == 0
    data = proof.read_bytes()
    proof.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    found = run(*verify_arguments(certified, proof, EVENT))
    assert (found.exit_code, found.stdout) == (2, ""), found.stderr
    assert "does not match its hash" in found.stderr


def test_proof_of_another_value_is_not_proven(tmp_path: Path, source: Source, certified: tuple[Path, Path]) -> None:
    proof = tmp_path / "state.car"
    made = run("inspect", source.folder, "f00/code", "--block", show(source.header), "--proof", proof)
    assert made.exit_code == 0, made.output
    found = run(*verify_arguments(certified, proof, EVENT))
    assert (found.exit_code, found.stdout) == (1, ""), found.stderr
    assert found.stderr.startswith("not proven for the network 'source': "), found.stderr
