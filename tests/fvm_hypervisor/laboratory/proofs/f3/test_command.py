"""`hypervisor verify-proof f3` on the example and on altered files."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.command import run as run_command
from tests.fvm_hypervisor.laboratory.proofs.f3.test_certificates import CASES, CERTIFICATES, EXAMPLE, TABLE

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
def test_other_trust_is_not_proven(options: list[str], text: str) -> None:
    done = run([EXAMPLE / "certificates.json"], *options)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("not proven for the network '")
    assert f"': {text}" in done.stderr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\x86" * 100, "certificate 0: certificate: not DAG-CBOR"),
        ([CERTIFICATES[0], {}], "certificate 1: certificate: the field ECChain is missing"),
        ("x", "certificate 0: certificate: expected a JSON object"),
    ],
    ids=["bytes", "object", "text"],
)
def test_malformed_certificate_is_not_proven(tmp_path: Path, value: Any, text: str) -> None:
    done = run([written(tmp_path, "file", value)])
    assert done.exit_code == 1
    assert done.stderr.startswith("not proven for the network '")
    assert f"': {text}" in done.stderr
