"""Decoding and encoding by kind. Bytes come from official vectors, from EIP-155 and from hand-written CBOR."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from fvm_hypervisor.cli.main import app
from fvm_hypervisor.laboratory.readable import decode_value, encode_value
from hypervisor.errors import InvalidInput
from tests.conftest import data_file

CREATE_MINER = bytes.fromhex("85 4200 64 4200 65 05 4101 81 4102".replace(" ", ""))
"""A list of owner f0100, worker f0101, proof 5, peer ID 01 and one address 02."""

EIP155 = bytes.fromhex(
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe53"
    "7567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)

NOT_DESCRIBED = {
    "ExtendSectorExpiration", "PreCommitSector", "PreCommitSectorBatch", "ProveCommitAggregate", "ProveCommitSector",
    "ProveReplicaUpdates", "Send",
}  # fmt: skip
"""Methods that later versions removed, and a plain transfer."""


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def official_messages() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the actor, the method and the vector of each recorded message of the main network."""
    for path in sorted(data_file("vectors/fvm-nv18").rglob("*.json")):
        actor, method = path.relative_to(data_file("vectors/fvm-nv18")).parts[:2]
        yield actor.removeprefix("fil_10_"), method, json.loads(path.read_text(encoding="utf-8"))


def test_official_messages_round_trip() -> None:
    decoded = set()
    for actor, method, vector in official_messages():
        data = b64decode(vector["apply_messages"][0]["bytes"])
        message = decode_value("message", data)
        assert encode_value("message", message) == data
        kind = f"{actor}.{message['method']}"
        params = bytes.fromhex(message["params"][2:])
        if method in NOT_DESCRIBED:
            continue
        value = decode_value(kind, params)
        assert encode_value(kind, value) == params
        receipt = vector["postconditions"]["receipts"][0]
        if receipt["exit_code"] == 0:
            answer = b64decode(receipt["return"] or "")
            assert encode_value(kind, decode_value(kind, answer, is_return_value=True), is_return_value=True) == answer
        decoded.add(f"{actor}.{method}")
    assert decoded == {
        "multisig.Propose", "storagemarket.AddBalance", "storagemarket.PublishStorageDeals",
        "storageminer.DeclareFaultsRecovered", "storageminer.DisputeWindowedPoSt", "storageminer.SubmitWindowedPoSt",
        "storageminer.TerminateSectors", "storageminer.WithdrawBalance", "storagepower.CreateMiner",
        "verifiedregistry.AddVerifiedClient",
    }  # fmt: skip


def test_parameters_by_name_number_and_address() -> None:
    value = {
        "owner": "f0100",
        "worker": "f0101",
        "window_post_proof_type": 5,
        "peer": "0x01",
        "multiaddrs": ["0x02"],
    }
    for kind in ("storagepower.CreateMiner", "power.2", "f04.CreateMiner", "power.CreateMinerParams"):
        assert decode_value(kind, CREATE_MINER) == value
        assert encode_value(kind, value) == CREATE_MINER
    assert encode_value("power.CreateMiner", ["f0100", "f0101", 5, "0x01", ["0x02"]]) == CREATE_MINER


def test_transaction_of_eip_155() -> None:
    transaction = decode_value("transaction", EIP155)
    assert transaction["from"] == "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"
    assert (transaction["chainId"], transaction["nonce"], transaction["gas"]) == ("0x1", "0x9", "0x5208")
    assert encode_value("transaction", transaction) == EIP155


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("f0100", "0064"),
        ("0xff00000000000000000000000000000000000064", "0064"),
        # https://docs.filecoin.io/smart-contracts/filecoin-evm-runtime/address-types
        ("f410feot7hrogmplrcupubsdbbqarkdewmb4vkwc5qqq", "040a23a7f3c5c663d71151f40c8610c01150c9660795"),
    ],
)
def test_addresses(text: str, data: str) -> None:
    assert encode_value("address", text) == bytes.fromhex(data)
    assert encode_value("address", decode_value("address", bytes.fromhex(data))) == bytes.fromhex(data)


def test_any_cbor_as_dag_json() -> None:
    """The forms of bytes and links are those of the DAG-JSON specification."""
    data = bytes.fromhex("82 43010203 d82a4500015500 00".replace(" ", ""))
    assert decode_value("cbor", data) == [{"/": {"bytes": "AQID"}}, {"/": "bafkqaaa"}]
    assert encode_value("cbor", [{"/": {"bytes": "AQID"}}, {"/": "bafkqaaa"}]) == data


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("power.CreateMiner", "85420064420065054101814102"[:-2], "in 12 bytes, the data ends inside a value"),
        ("power.CreateMiner", "85420064420065054101814102ff", "byte 13 differs from the canonical"),
        ("power.CreateMiner", "854200644200650541018105", "at byte 11 of 12, CreateMinerParams/multiaddrs/0: expected"),
        ("power.CreateMiner", "8542006443090065054101814102", "CreateMinerParams"),
        ("power.Nothing", "80", "storagepower has no method or type 'Nothing': its methods are .*CreateMiner"),
        ("power.CreateMinr", "80", "did you mean CreateMiner"),
        ("nobody.Nothing", "80", "unknown kind 'nobody.Nothing': expected message, "),
        ("market.AddBalance.x", "80", "no method or type 'AddBalance.x'"),
        ("miner.RepayDebt", "80", "has no such value, found 1 bytes: .*--return"),
        ("message", "80", "at byte 0 of 1, Message: expected a list of 10 values"),
        ("transaction", "01", "transaction"),
        ("cid", "0155a0e4020200", "CID"),
        ("address", "07", "address"),
    ],
)
def test_invalid_bytes_name_the_offset_and_the_expected_type(kind: str, data: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        decode_value(kind, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("power.CreateMiner", {"owner": "f0100"}, "CreateMinerParams: the field worker is missing"),
        ("power.CreateMiner", ["x", "f0101", 5, "0x01", []], "CreateMinerParams/owner: 'x' is not an address"),
        ("message", {"to": "f0100"}, "version"),
        ("transaction", {"type": "0x2"}, "the field 'nonce' is missing"),
        ("transaction", [], "no transaction"),
        ("cid", 5, "expected a CID as text, found 5"),
        ("address", None, "expected an address"),
        ("cbor", {"/": "x"}, "CID"),
        ("cbor", {"/": {"bytes": 5}}, "/"),
        ("cbor", nested(900), "256"),
        ("cbor", nested(100_000), "256"),
    ],
)
def test_invalid_values_name_the_field(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        encode_value(kind, value)


def test_the_deepest_value_is_encoded() -> None:
    assert decode_value("cbor", encode_value("cbor", nested(255))) == nested(255)


def test_a_high_recursion_limit_does_not_matter() -> None:
    """A library may raise the limit beyond the native stack, which a recursive walk of the value would overflow."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000_000)
    try:
        with pytest.raises(InvalidInput, match="256"):
            encode_value("cbor", nested(100_000))
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("kind", ["address", "cbor", "power.State", "power.Claim"])
def test_only_methods_have_return_values(kind: str) -> None:
    with pytest.raises(InvalidInput, match=f"{kind} has no return value"):
        decode_value(kind, b"", is_return_value=True)
    with pytest.raises(InvalidInput, match=f"{kind} has no return value"):
        encode_value(kind, None, is_return_value=True)


def test_hex_digits_without_their_prefix_are_refused() -> None:
    done = CliRunner().invoke(app, ["decode", "power.CreateMiner", CREATE_MINER.hex()])
    assert "has hex digits only: write 0x before them" in str(done.exception) + done.output


def test_commands() -> None:
    def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments, input=stdin)
        return done.exit_code, done.output

    decoded = run("decode", "power.CreateMiner", "hUIAZEIAZQVBAYFBAg==")
    assert decoded[0] == 0
    assert json.loads(decoded[1])["worker"] == "f0101"
    assert run("encode", "power.CreateMiner", "-", stdin=decoded[1]) == (0, f"0x{CREATE_MINER.hex()}\n")
    assert run("encode", "address", "f0100", "--base64") == (0, "AGQ=\n")
    assert json.loads(run("decode", "cid", "bafkqaaa")[1])["codec"] == "0x55"
    assert json.loads(run("decode", "miner.GetSectorSize", "--return", "0x190800")[1]) == 2048
    for arguments in (("decode", "cbor", "0x8"), ("decode", "cbor", "!"), ("encode", "cbor", "{")):
        assert run(*arguments)[0] != 0
