"""Parameters, return values and states as JSON, compared with go-state-types (tests/oracle/go_state_types)."""

import gzip
import json
from collections import defaultdict
from typing import Any

import pytest

from bridge.actors.schemas import actor_method, actor_schema
from localnet.rpc.lotus_types import EMPTY, decode_json, encode_json, go_method, go_type
from store.codec import decode
from store.schema import SchemaError
from tests.golden_cases import GOLDEN

_RECORDS = GOLDEN / "judges" / "go_state_types" / "values.json.gz"
_WITHOUT_JSON = {
    "market.ComputeDataCommitmentReturn": "Go's type of its CIDs has no JSON",
    "miner.SectorOnChainInfo.v16": "Go's JSON omits the deals",
}


def _records() -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for record in json.loads(gzip.decompress(_RECORDS.read_bytes())):
        found[record["type"]].append(record)
    return found


RECORDS = _records()


@pytest.mark.parametrize("term", RECORDS)
def test_values_are_those_of_go_state_types(term: str) -> None:
    for record in RECORDS[term]:
        if "error" in record:
            continue  # see below
        cbor = bytes.fromhex(record["cbor"])
        assert decode_json(term, cbor) == record["json"]
        if term not in _WITHOUT_JSON and term != EMPTY and record["json"] is not None:  # Go reads no null here
            assert encode_json(term, record["json"]) == cbor


def test_types_without_cbor_in_go_have_the_layout_of_the_schema() -> None:
    """Go has none for some values that no message contains, and for those of version 19 that go-state-types lacks."""
    records = [record for of_type in RECORDS.values() for record in of_type if "error" in record]
    assert records
    for record in records:
        assert "missing method MarshalCBOR" in record["error"]
        version, kind, name, *part = record["of"][-1].split()
        method = actor_method(kind, int(name)) if part else None
        found = f"StateV{version}" if method is None else method.params if part == ["params"] else method.returns
        assert found is not None
        cbor = encode_json(record["type"], record["json"])
        actor_schema(kind).read(found, decode(cbor))
        assert encode_json(record["type"], decode_json(record["type"], cbor)) == cbor


@pytest.mark.parametrize("term", [term for term in RECORDS if any("reads" in each for each in RECORDS[term])])
def test_fields_are_read_as_in_go(term: str) -> None:
    """In any case; absent and null fields are zero or an error, and unknown ones are ignored."""
    for read in (read for record in RECORDS[term] for read in record.get("reads", ())):
        if read["cbor"]:
            assert encode_json(term, read["json"]).hex() == read["cbor"], read["json"]
        else:
            with pytest.raises(SchemaError):
                encode_json(term, read["json"])


def test_each_method_and_state_has_the_type_of_its_version() -> None:
    for term, records in RECORDS.items():
        for of in {of for record in records for of in record["of"]}:
            version, kind, name, *part = of.split()
            if not part:
                assert go_type(int(version), kind, name) == term, of
                continue
            method = go_method(int(version), kind, int(name))
            assert method is not None
            assert term == (method.params if part == ["params"] else method.returns), of


@pytest.mark.parametrize(
    ("term", "value", "reason"),
    [
        ("uint64", -1, "-1 is not a valid uint64"),
        ("uint64", 1.0, "1.0 is not a valid uint64"),
        ("cron.Entry", [], "expected an object, found []"),
        ("cron.Entry", {"Receiver": "t5"}, "Receiver: "),
        ("cron.Entry", {"MethodNum": 1}, "Receiver: the field is missing or null"),
        (
            "cron.ConstructorParams",
            {"Entries": [{"Receiver": "f00", "MethodNum": ""}]},
            "Entries/0/MethodNum: '' is not",
        ),
        ("bitfield", [1, 0, 2], "a run after the first has no length"),
        ("account.AuthenticateMessageParams", {"Message": "!"}, "Message: '!' is not base64"),
        (EMPTY, {}, "there are no parameters to encode"),
    ],
)
def test_invalid_json_is_refused_with_its_path(term: str, value: Any, reason: str) -> None:
    with pytest.raises(SchemaError) as refused:
        encode_json(term, value)
    assert reason in str(refused.value)
