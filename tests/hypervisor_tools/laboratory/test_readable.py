"""Decoding and encoding by kind. Bytes come from official vectors, from EIP-155 and from hand-written CBOR."""

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.laboratory.readable import decode_value, encode_value
from localnet.state.named_code import with_schema
from scripts import build_guests
from tests.command import run as run_command
from tests.conftest import data_file

CREATE_MINER = bytes.fromhex("85 4200 64 4200 65 05 4101 81 4102".replace(" ", ""))
"""A list of owner f0100, worker f0101, proof 5, peer ID 01 and one address 02."""

EIP155 = bytes.fromhex(
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe53"
    "7567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
)


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


@pytest.mark.slow
def test_official_messages_round_trip() -> None:
    decoded = set()
    for actor, method, vector in official_messages():
        data = b64decode(vector["apply_messages"][0]["bytes"])
        message = decode_value("message", data)
        assert encode_value("message", message) == data
        kind = f"{actor}.{message['method']}"
        params = bytes.fromhex(message["params"][2:])
        if method == "Send":  # to any actor, without parameters
            continue
        value = decode_value(kind, params)
        assert encode_value(kind, value) == params
        receipt = vector["postconditions"]["receipts"][0]
        if receipt["exit_code"] == 0:
            result = b64decode(receipt["return"] or "")
            assert encode_value(kind, decode_value(kind, result, is_return_value=True), is_return_value=True) == result
        decoded.add(f"{actor}.{method}")
    assert decoded == {
        "multisig.Propose", "storagemarket.AddBalance", "storagemarket.PublishStorageDeals",
        "storageminer.DeclareFaultsRecovered", "storageminer.DisputeWindowedPoSt", "storageminer.SubmitWindowedPoSt",
        "storageminer.TerminateSectors", "storageminer.WithdrawBalance", "storagepower.CreateMiner",
        "verifiedregistry.AddVerifiedClient",
        # removed by later versions
        "storageminer.ExtendSectorExpiration", "storageminer.PreCommitSector", "storageminer.PreCommitSectorBatch",
        "storageminer.ProveCommitAggregate", "storageminer.ProveCommitSector", "storageminer.ProveReplicaUpdates",
    }  # fmt: skip


_CID = "d82a450001550000"
"""The shortest link: CID version 1, codec RAW, identity hash of nothing."""
_LINK = {"/": "bafkqaaa"}


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        # The order of fields is that of fil_actor_*_state (market v11, miner v12, v13) and SealVerifyInfo.
        ("market.ActivateDeals", "82 82 01 02 18 64", {"deal_ids": [1, 2], "sector_expiry": 100}),
        ("market.6", "82 82 01 02 18 64", {"deal_ids": [1, 2], "sector_expiry": 100}),
        ("market.8", "81 81 82 81 05 08", {"inputs": [{"deal_ids": [5], "sector_type": 8}]}),
        ("miner.7", "82 03 41 aa", {"sector_number": 3, "proof": "0xaa"}),
        (
            "miner.ConfirmSectorProofsValid",
            "84 81 07 82 420001 40 420009 82 40 40",
            {
                "sectors": [7],
                "reward_smoothed": {"position": "1", "velocity": "0"},
                "reward_baseline_power": "9",
                "quality_adj_power_smoothed": {"position": "0", "velocity": "0"},
            },
        ),
        (
            "miner.29",
            f"81 81 88 01 02 03 {_CID} {_CID} 81 04 05 41 bb",
            {
                "updates": [
                    {
                        "sector_number": 1, "deadline": 2, "partition": 3, "new_sealed_cid": _LINK,
                        "new_unsealed_cid": _LINK, "deals": [4], "update_proof_type": 5, "replica_proof": "0xbb",
                    }
                ]
            },
        ),
        (
            "power.8",
            f"88 05 82 18 64 07 80 41 01 41 02 41 03 {_CID} {_CID}",
            {
                "registered_proof": 5, "sector_id": {"miner": 100, "number": 7}, "deal_ids": [], "randomness": "0x01",
                "interactive_randomness": "0x02", "proof": "0x03", "sealed_cid": _LINK, "unsealed_cid": _LINK,
            },
        ),
    ],
)  # fmt: skip
def test_removed_methods_without_a_vector(kind: str, data: str, value: Any) -> None:
    raw = bytes.fromhex(data.replace(" ", ""))
    assert decode_value(kind, raw) == value
    assert encode_value(kind, value) == raw


def test_number_with_two_layouts_is_decoded_by_the_one_that_fits() -> None:
    """Method 6 of the market: BatchActivateDeals since version 12, ActivateDeals before."""
    today = bytes.fromhex("82 81 84 01 08 18 64 81 02 f5".replace(" ", ""))
    assert decode_value("market.6", today)["compute_cid"] is True
    assert encode_value("market.6", {"deal_ids": [1], "sector_expiry": 9}) == bytes.fromhex("82810109")
    assert decode_value("market.6", bytes.fromhex("824080"), is_return_value=True)["verified_infos"] == []
    with pytest.raises(InvalidInput, match="BatchActivateDealsParams"):
        decode_value("market.6", bytes.fromhex("81f5"))


@pytest.mark.parametrize("kind", ["evm.1024", "evm.3844450836", "account.16777216", "multisig.4294967296"])
def test_numbers_without_a_method_take_any_parameters(kind: str) -> None:
    data = bytes.fromhex("8143010203")
    assert decode_value(kind, data) == [{"/": {"bytes": "AQID"}}]
    assert encode_value(kind, [{"/": {"bytes": "AQID"}}]) == data
    assert (decode_value(kind, b""), encode_value(kind, None)) == (None, b"")


@pytest.mark.parametrize("kind", ["evm.1023", "account.16777215", "miner.16777216", "evm.18446744073709551616"])
def test_numbers_outside_these_ranges_are_unknown(kind: str) -> None:
    with pytest.raises(InvalidInput, match="has no method or type"):
        decode_value(kind, b"\x80")


def test_exported_numbers_of_methods_keep_their_types() -> None:
    assert decode_value("evm.3844450837", bytes.fromhex("4101")) == "0x01"  # InvokeEVM


def test_schema_file_or_a_module_describes_users_actors(tmp_path: Path) -> None:
    schema, module = tmp_path / "interface.ipldsch", tmp_path / "jar.wasm"
    schema.write_text((build_guests.TEMPLATE / "interface.ipldsch").read_text())
    module.write_bytes(with_schema(build_guests.module_file(build_guests.TEMPLATE).read_bytes(), schema.read_text()))
    plain = tmp_path / "plain.wasm"
    plain.write_bytes(build_guests.module_file(build_guests.TEMPLATE).read_bytes())

    def run(*arguments: Any) -> Any:
        return run_command(*arguments)

    data = "0x81667468616e6b73"  # ["thanks"]
    for file in (schema, module):
        ran = run("decode", "Tip", data, "--schema", file)
        assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"note": "thanks"}), ran.output
        assert run("encode", "Tip", '{"note": "thanks"}', "--schema", file).stdout.strip() == data
    unknown = run("decode", "Tap", data, "--schema", schema)
    assert "the schema has no method or type 'Tap' (did you mean Tip?)" in str(unknown.exception) + unknown.output
    bare = run("decode", "Tip", data, "--schema", plain)
    assert "has no section ipld.schema" in str(bare.exception) + bare.output


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
        ("cbor", nested(10_000), "256"),
    ],
)
def test_invalid_values_name_the_field(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        encode_value(kind, value)


def test_deepest_value_is_encoded() -> None:
    assert decode_value("cbor", encode_value("cbor", nested(255))) == nested(255)


@pytest.mark.slow
def test_high_recursion_limit_does_not_matter() -> None:
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
    done = run_command("decode", "power.CreateMiner", CREATE_MINER.hex())
    assert "has hex digits only: write 0x before them" in str(done.exception) + done.output


def test_commands() -> None:
    def run(*arguments: str, stdin: str | None = None) -> tuple[int, str]:
        done = run_command(*arguments, input=stdin)
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
