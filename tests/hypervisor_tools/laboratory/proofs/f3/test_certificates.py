"""Finality certificates that go-f3 v0.8.10 made and judged (`chains.jsonl.gz`, from tests/oracle/f3), and altered.

`python -m tests.finality` compares larger numbers of chains with go-f3.
"""

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import Result

from hypervisor_tools.laboratory.proofs.f3 import (
    Committee,
    InvalidCertificate,
    PowerEntry,
    TrustedState,
    advance,
    decode_certificate,
    decode_power_table,
    encode_certificate,
    encode_power_table,
    follow,
    power_table_cid,
    read_certificate,
    read_power_table,
)
from hypervisor_tools.laboratory.proofs.f3.certificates import MAX_CERTIFICATE, MAX_TIPSETS, Certificate
from hypervisor_tools.laboratory.proofs.f3.chain import merkle_root
from store.cid import cid_of, show
from store.codec import decode_strict, encode
from tests.command import run as run_command
from tests.finality import verdict

HERE: Final = Path(__file__).parent
CASES: Final = [json.loads(line) for line in gzip.decompress((HERE / "chains.jsonl.gz").read_bytes()).splitlines()]
VALID: Final = min((case for case in CASES if not case["error"]), key=lambda case: len(str(case["cbor"])))
CBOR: Final = b64decode(VALID["cbor"][0])
START: Final = TrustedState(VALID["network"], VALID["instance"], read_power_table(VALID["table"]))
EXAMPLE: Final = Path(__file__).parents[5] / "examples" / "f3-certificates"
CERTIFICATES, TABLE = (
    json.loads((EXAMPLE / name).read_text(encoding="utf-8")) for name in ("certificates.json", "power-table.json")
)
EXAMPLE_START: Final = TrustedState("f3-i", CERTIFICATES[0]["GPBFTInstance"], read_power_table(TABLE))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['number']}-{case['alteration']}".replace(" ", "-"))
def test_verdict_of_go_f3(case: dict[str, Any]) -> None:
    assert verdict(case).problem() is None


def test_initial_table_of_a_network_has_the_cid_in_its_manifest() -> None:
    # From the F3 manifest of calibrationnet, github.com/ChainSafe/rust-f3, f3manifest_calibrationnet.json.
    table = read_power_table(json.loads((HERE / "calibrationnet.json").read_text(encoding="utf-8")))
    assert show(power_table_cid(table)) == "bafy2bzaceab236vmmb3n4q4tkvua2n4dphcbzzxerxuey3mot4g3cov5j3r2c"


def test_certificate_of_a_network_is_read() -> None:
    # `lotus f3 c get --output json 6204` on calibrationnet, from the tests of Forest (github.com/ChainSafe/forest).
    # The power table of that instance is not public there, so its signature is not verified.
    found = read_certificate(json.loads((HERE / "calibrationnet-6204.json").read_text(encoding="utf-8")))
    assert (found.instance, found.signers, [one.epoch for one in found.chain]) == (6204, (0, 1, 2), [2088927, 2088928])
    assert [len(one.blocks()) for one in found.chain] == [2, 4]
    assert show(found.power_table) == "bafy2bzaceazjn2promafvtkaquebfgc3xvhoavdbxwns4i54ilgnzch7pkgua"
    (delta,) = found.deltas
    assert (delta.id, delta.power, len(delta.key)) == (3782, 76347338653696, 48)
    assert decode_certificate(encode_certificate(found)) == found


def test_json_and_cbor_give_the_same_certificates() -> None:
    cases = [case for case in CASES if case["json"]]
    assert cases
    for case in cases:
        assert [read_certificate(one) for one in case["json"]] == [
            decode_certificate(b64decode(one)) for one in case["cbor"]
        ]


def leaves(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, *path, key)
    else:
        yield path


def changed(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    if not value:  # no key
        return "A" * 64
    at = len(value) // 2
    return (
        value[:at] + ("b" if value[at] != "b" else "c") + value[at + 1 :]
        if not value.isdigit()
        else str(int(value) + 1)
    )


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(CERTIFICATES)))
def test_every_altered_field_is_refused(index: int) -> None:
    paths = list(leaves(CERTIFICATES[index]))
    assert len(paths) > 15
    for path in paths:
        altered = deepcopy(CERTIFICATES)
        at: Any = altered[index]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = changed(at[path[-1]])
        with pytest.raises(InvalidCertificate):
            follow(EXAMPLE_START, [read_certificate(one) for one in altered])


@pytest.mark.parametrize("key", sorted(CERTIFICATES[0]))
def test_missing_field_is_named(key: str) -> None:
    certificate = {name: value for name, value in CERTIFICATES[0].items() if name != key}
    if key == "PowerTableDelta":  # optional; without it the CID of the next table does not fit
        with pytest.raises(InvalidCertificate, match="SupplementalData: PowerTable"):
            advance(EXAMPLE_START, read_certificate(certificate))
        return
    with pytest.raises(InvalidCertificate, match=key):
        read_certificate(certificate)


@pytest.mark.slow
def test_every_altered_byte_is_refused() -> None:
    advance(START, decode_certificate(CBOR))
    for at in range(len(CBOR)):
        for bit in (1, 0x80):
            altered = CBOR[:at] + bytes((CBOR[at] ^ bit,)) + CBOR[at + 1 :]
            with pytest.raises(InvalidCertificate):
                advance(START, decode_certificate(altered))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "not DAG-CBOR"),
        (b"\x81" * 100_000, "not DAG-CBOR"),
        (b"\x9b" + b"\xff" * 8, "not DAG-CBOR"),
        (b"\x5b" + b"\xff" * 8, "not DAG-CBOR"),
        (bytes(MAX_CERTIFICATE + 1), "the limit is 2,097,152"),
        (encode([]), "an array of 6 fields"),
        (encode({}), "an array of 6 fields"),
    ],
)
def test_hostile_bytes_are_refused(data: bytes, text: str) -> None:
    with pytest.raises(InvalidCertificate, match=text):
        decode_certificate(data)


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        (0, -1, "GPBFTInstance: expected an integer"),
        (0, True, "GPBFTInstance: expected an integer"),
        (1, [[]] * (MAX_TIPSETS + 1), "ECChain: 129 items, the limit is 128"),
        (1, [[1, bytes(761), None, b""]], r"ECChain\[0\]: Key: 761 bytes, the limit is 760"),
        (1, None, "ECChain: expected an array"),
        (2, [bytes(31), None], "SupplementalData: Commitments: 31 bytes, expected 32"),
        (2, [bytes(32), None], "SupplementalData: PowerTable: expected a CID"),
        (3, bytes(8193), "Signers: 8,193 bytes, the limit is 8,192"),
        (3, bytes.fromhex("e4ffffffffffffffff0f"), "Signers: .* limit is 8192 bits"),
        (3, b"\x01", "Signers: unknown version"),
        (3, b"\x00", "Signers: not the shortest"),
        (3, b"\x04", "Signers: not the shortest"),
        (3, b"\x18" + b"\xff" * 20, "Signers: "),
        (4, bytes(95), "Signature: 95 bytes, expected 96"),
        (4, bytes(97), "Signature: 97 bytes, expected 96"),
        (5, [[]] * 8193, "PowerTableDelta: 8,193 items, the limit is 8,192"),
        (5, [[1, b"\x02\x01", b""]], "PowerDelta: the sign byte is 2"),
        (5, [[1, bytes(129), b""]], "PowerDelta: 129 bytes, the limit is 128"),
        (5, [[1, b"\0\1", bytes(49)]], "SigningKey: 49 bytes, the limit is 48"),
    ],
)
def test_malformed_part_is_named(at: int, value: Any, text: str) -> None:
    parts = decode_strict(CBOR)
    parts[at] = value
    with pytest.raises(InvalidCertificate, match=text):
        decode_certificate(encode(parts))


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("Signers", [0, 1 << 63], "Signers: .* limit is 8192 bits"),
        ("Signers", [0, 1, 0, 1], "Signers: run 2 has no length"),
        ("Signers", [1] * 9000, "Signers: 9,000 items"),
        ("Signature", "?" * 128, "Signature: expected base64"),
        ("Signature", "A" * 10_000_000, "Signature: longer than 96 bytes"),
        ("ECChain", {}, "ECChain: expected an array"),
        ("SupplementalData", None, "SupplementalData: expected a JSON object"),
        ("GPBFTInstance", 1.0, "GPBFTInstance: expected an integer"),
        ("PowerTableDelta", [{"ParticipantID": 1, "PowerDelta": "9" * 309, "SigningKey": ""}], "PowerDelta: expected"),
        ("PowerTableDelta", [{"ParticipantID": 1, "PowerDelta": "--1", "SigningKey": ""}], "PowerDelta: expected"),
        ("PowerTableDelta", [{"ParticipantID": 1}], "the field PowerDelta is missing"),
    ],
)
def test_malformed_json_is_named(key: str, value: Any, text: str) -> None:
    with pytest.raises(InvalidCertificate, match=text):
        read_certificate({**CERTIFICATES[0], key: value})


@pytest.mark.parametrize("value", [None, 1, "x", [], [[]]])
def test_json_that_is_no_certificate(value: Any) -> None:
    with pytest.raises(InvalidCertificate, match="expected a JSON object"):
        read_certificate(value)


def entries(**fields: Any) -> list[dict[str, Any]]:
    return [TABLE[0], {**TABLE[1], **fields}, *TABLE[2:]]


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ([], "no entries"),
        ({}, "expected an array"),
        ([*TABLE, TABLE[0]], "an ID occurs twice"),
        ([TABLE[1], TABLE[0], *TABLE[2:]], "entry 0 is not in order"),
        (entries(Power="0"), "entry 1: the power 0 is not positive"),
        (entries(Power="-5"), "entry 1: the power -5 is not positive"),
        (entries(PubKey=""), "entry 1: PubKey: 0 bytes, expected 48"),
        (entries(ID="7"), "entry 1: ID: expected an integer"),
        ([{}] * 8193, "8,193 items, the limit is 8,192"),
    ],
)
def test_bad_table_is_refused(table: Any, text: str) -> None:
    with pytest.raises(InvalidCertificate, match=text):
        read_power_table(table)


def test_error_names_the_certificate_and_its_instance() -> None:
    certificates = [read_certificate(one) for one in CERTIFICATES]
    with pytest.raises(InvalidCertificate, match=r"certificate 2 \(instance 275\): GPBFTInstance: expected 274"):
        follow(EXAMPLE_START, [*certificates[:2], certificates[3]])


def test_chain_can_be_continued_from_its_end() -> None:
    certificates: list[Certificate] = [read_certificate(one) for one in CERTIFICATES]
    middle = follow(EXAMPLE_START, certificates[:2])
    assert follow(middle, certificates[2:]) == follow(EXAMPLE_START, certificates)
    with pytest.raises(InvalidCertificate, match=r"ECChain\[0\]: it is not the finalized head"):
        advance(replace(middle, head=replace(certificates[1].chain[-1], commitments=bytes(32))), certificates[2])


def test_tree_without_leaves_is_zero() -> None:
    assert merkle_root([]) == bytes(32)  # go-f3: merkle.ZeroDigest


def test_tipset_key_is_split_into_block_cids() -> None:
    for one in CERTIFICATES:
        for tipset, read in zip(one["ECChain"], read_certificate(one).chain, strict=True):
            assert [show(cid) for cid in read.blocks()] == [link["/"] for link in tipset["Key"]]


def start(committee: Committee) -> TrustedState:
    return TrustedState(committee.network, 0, committee.table)


@pytest.mark.parametrize(
    ("size", "signers", "enough"), [(3, 2, True), (5, 3, False), (5, 4, True), (7, 4, False), (1, 1, True)]
)
def test_two_thirds_of_the_power_are_needed(size: int, signers: int, enough: bool) -> None:
    # Each of 3 has 21,845 of 65,535: two have exactly two thirds.
    committee = Committee("rules", size)
    certificate = committee.certify(0, [committee.tipset(0, [cid_of(b"")])], range(size - signers, size))
    assert decode_certificate(encode_certificate(certificate)) == certificate
    if enough:
        assert advance(start(committee), certificate).instance == 1
        return
    with pytest.raises(InvalidCertificate, match="two thirds are needed"):
        advance(start(committee), certificate)


@pytest.mark.parametrize("epochs", [(-1,), (-2, 3), (4, 4), (4, 3)])
def test_epochs_start_at_zero_and_ascend(epochs: tuple[int, ...]) -> None:
    committee = Committee("rules")
    certificate = committee.certify(0, [committee.tipset(epoch, [cid_of(b"")]) for epoch in epochs])
    with pytest.raises(
        InvalidCertificate, match=f"epoch {epochs[-1] if epochs[0] >= 0 else epochs[0]} does not follow"
    ):
        advance(start(committee), certificate)


def test_key_at_infinity_in_the_table_is_refused() -> None:
    # go-f3: blssig.Verifier refuses a null point among the keys of the table, whether it signs or not.
    committee = Committee("rules")
    committee.table = (*committee.table, PowerEntry(9, 1 << 20, b"\xc0" + bytes(47)))
    certificate = committee.certify(0, [committee.tipset(0, [cid_of(b"")])], range(4))
    with pytest.raises(InvalidCertificate, match="key of entry 4 of the power table is the point at infinity"):
        advance(start(committee), certificate)


def test_other_network_and_contents_are_refused() -> None:
    committee = Committee("rules")
    certificate = committee.certify(0, [committee.tipset(0, [cid_of(b"")])])
    advance(start(committee), certificate)
    for changed in (replace(certificate, commitments=b"\1" * 32), replace(certificate, signature=b"\xc0" + bytes(95))):
        with pytest.raises(InvalidCertificate, match="Signature: it does not verify"):
            advance(start(committee), changed)
    with pytest.raises(InvalidCertificate, match="Signature: it does not verify"):
        advance(replace(start(committee), network="rule"), certificate)


def test_table_is_read_from_its_bytes() -> None:
    table = Committee("rules").table
    data = encode_power_table(table)
    assert decode_power_table(data) == table
    assert cid_of(data) == power_table_cid(table)
    for wrong in (
        data[:-1],
        data + b"\0",
        b"\x81" * 1000,
        encode([]),
        encode([[1, b"\2\1", bytes(48)]]),
        encode([[1]]),
    ):
        with pytest.raises(InvalidCertificate, match="power table"):
            decode_power_table(wrong)


TABLE_CID = "bafy2bzaceculxsiem2fg45fuwrfhfysc4ntjwfe32x5m36u657gllfcjryw2w"  # chain 96 of seed 7 of tests/oracle/f3
NEXT_CID = "bafy2bzacec55ng5k3ealplwqv5qq6vb4cdc6yqfwocsna3xxksjhz7kdy7lei"


def run(files: list[Path], *options: str, table: Path = EXAMPLE / "power-table.json") -> Result:
    names = map(str, files)
    return run_command("verify-proof", "f3", *names, "--power-table", str(table), "--network", "f3-i", *options)


def written(folder: Path, name: str, value: Any) -> Path:
    file = folder / name
    file.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return file


def test_example_is_verified() -> None:
    done = run([EXAMPLE / "certificates.json"], "--json", "--power-table-cid", TABLE_CID, "--instance", "272")
    assert done.exit_code == 0, done.output
    shown = json.loads(done.output)
    assert (shown["firstInstance"], shown["nextInstance"], shown["nextPowerTable"]) == (272, 276, NEXT_CID)
    head = CERTIFICATES[-1]["ECChain"][-1]
    assert shown["finalizedEpoch"] == head["Epoch"]
    assert shown["finalizedTipset"] == [link["/"] for link in head["Key"]]
    assert f"nextPowerTable: {NEXT_CID}\n" in run([EXAMPLE / "certificates.json"]).output


def test_certificates_may_be_in_several_files(tmp_path: Path) -> None:
    files = [written(tmp_path, f"{at}.json", {"result": one, "id": 1}) for at, one in enumerate(CERTIFICATES)]
    done = run(files, "--json", table=written(tmp_path, "table.json", {"jsonrpc": "2.0", "result": TABLE}))
    assert json.loads(done.output)["nextPowerTable"] == NEXT_CID


def test_certificates_may_be_cbor(tmp_path: Path) -> None:
    case = next(case for case in CASES if case["alteration"] == "none" and case["cbor"])
    files = [written(tmp_path, f"{at}.cbor", b64decode(one)) for at, one in enumerate(case["cbor"])]
    table = written(tmp_path, "table.json", case["table"])
    done = run(files, "--json", "--network", case["network"], table=table)
    assert json.loads(done.output)["nextPowerTable"] == case["nextTable"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--network", "filecoin"], r"certificate 0 (instance 272): Signature: it does not verify"),
        (["--instance", "3"], "certificate 0 (instance 272): GPBFTInstance: expected 3"),
        (["--power-table-cid", NEXT_CID], f"power table: its CID is {TABLE_CID}, not {NEXT_CID}"),
    ],
)
def test_untrusted_power_table_is_not_proven(options: list[str], text: str) -> None:
    done = run([EXAMPLE / "certificates.json"], *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("not proven for the network '")
    assert f"': {text}" in done.stderr
