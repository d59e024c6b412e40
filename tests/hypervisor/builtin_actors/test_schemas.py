"""Schemas of the actors: constructor states of the official actors, main network states, method numbers."""

import re
from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor.builtin_actors.schemas import NAMES, schema_text
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.messages.address import Address
from hypervisor.types import encode_bigint
from store.blocks.memory import MemoryStore
from store.blockstore import BlockNotFound, put_object
from store.cid import Cid, cid_of, parse_cid
from store.codec import decode_strict, encode, link, unlink
from store.schema import Schema, SchemaError
from store.trees.amt import Amt
from store.trees.hamt import Hamt
from tests.conftest import data_file
from tests.store.trees.test_hamt import recorded

SCHEMAS = {name: Schema.parse(schema_text(name)) for name in NAMES}


def test_every_actor_of_a_bundle_has_a_schema_with_its_state() -> None:
    assert NAMES == ACTOR_NAMES
    for schema in SCHEMAS.values():
        assert "State" in schema.types
    with pytest.raises(KeyError):
        schema_text("../common")


def hamt() -> Any:
    return link(Hamt(MemoryStore()).flush())


def amt(width: int) -> Any:
    return link(Amt(MemoryStore(), None, width).flush())


def estimate(position: int, velocity: int) -> dict[str, bytes]:
    return {"position": encode_bigint(position << 128), "velocity": encode_bigint(velocity << 128)}


ZERO = encode_bigint(0)

# What the official actors' constructors leave, on every network.
CONSTRUCTED: list[tuple[str, dict[str, Any], str]] = [
    (
        "system",
        {"builtin_actors": link(cid_of(b"\x80"))},
        "bafy2bzacediz3ac65um45ud2yy2teiwu65kvrwq6rmykjdtqizsfjadmttp6g",
    ),
    (
        "init",
        {"address_map": hamt(), "next_id": 100, "network_name": "localnet"},
        "bafy2bzaceblpzywtmpbawk2ffanp5c2x634vptiinjr6kakm5klsckos7dkgo",
    ),
    (
        "cron",
        {"entries": [{"receiver": Address.id(4).to_bytes(), "method_num": 5},
                     {"receiver": Address.id(5).to_bytes(), "method_num": 9}]},
        "bafy2bzacebs5dwwxmsjmzvoqcamx3qtl2x5qpqgpqxgnzl7scccmbvd37ulvs",
    ),
    (
        "storagepower",
        dict.fromkeys(
            ["total_raw_byte_power", "total_bytes_committed", "total_quality_adj_power", "total_qa_bytes_committed",
             "total_pledge_collateral", "this_epoch_raw_byte_power", "this_epoch_quality_adj_power",
             "this_epoch_pledge_collateral"], ZERO)
        | dict.fromkeys(["miner_count", "miner_above_min_power_count", "ramp_start_epoch", "ramp_duration_epochs",
                         "first_cron_epoch"], 0)
        | {"this_epoch_qa_power_smoothed": estimate(750_000 << 30, 3840 << 30), "cron_event_queue": hamt(),
           "claims": hamt(), "proof_validation_batch": None},
        "bafy2bzaceasliok4bbcsxu5i47crjwa4kit7uwdz6257fu2o66vqtot3trak4",
    ),
    (
        "storagemarket",
        {"proposals": amt(5), "states": amt(6), "next_id": 0, "last_cron": -1}
        | dict.fromkeys(["pending_proposals", "escrow_table", "locked_table", "deal_ops_by_epoch",
                         "pending_deal_allocation_ids", "provider_sectors"], hamt())
        | dict.fromkeys(["total_client_locked_collateral", "total_provider_locked_collateral",
                         "total_client_storage_fee"], ZERO),
        "bafy2bzaceb3ikngdghhmbj2fxh5ovckfm7kecirnv5tef2ka6okhva6yv3pbm",
    ),
    (
        "verifiedregistry",
        {"root_key": Address.id(80).to_bytes(), "next_allocation_id": 1}
        | dict.fromkeys(["verifiers", "remove_data_cap_proposal_ids", "allocations", "claims"], hamt()),
        "bafy2bzacea3u25p5rea2k2gs5k5ldo3jqwsfw7sra7sm4rmpdnx4snxapzgvk",
    ),
    (
        "datacap",
        {"governor": Address.id(6).to_bytes(),
         "token": {"supply": ZERO, "balances": hamt(), "allowances": hamt(), "hamt_bit_width": 3}},
        "bafy2bzacedvbi5u76loih5l52kha6yuq7tz25r76lthjofph2mcocmdwbb5q4",
    ),
    *[(name, {}, "bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a")
      for name in ("eam", "ethaccount", "placeholder")],
]  # fmt: skip


@pytest.mark.parametrize(("name", "state", "head"), CONSTRUCTED, ids=[item[0] for item in CONSTRUCTED])
def test_schema_encoded_constructor_state_has_official_cid(name: str, state: dict[str, Any], head: str) -> None:
    data = SCHEMAS[name].write("State", state)
    assert cid_of(encode(data)) == parse_cid(head)
    assert SCHEMAS[name].read("State", data) == state


def actors_of(store: MemoryStore, root: Cid) -> list[tuple[str, Cid]]:
    """Return name and state of each recorded actor of a main network state, according to its manifest."""
    _, tree, _ = decode_strict(store.get(root))
    found = Hamt(store, unlink(tree))
    actor = found.get(b"\x00\x00")
    assert actor is not None
    system = decode_strict(store.get(unlink(actor[1])))
    names = {unlink(code): name for name, code in decode_strict(store.get(unlink(system[0])))}
    known = []
    for pointer in _recorded_entries(store, unlink(tree)):
        code, head, *_ = pointer
        if unlink(code) in names and store.has(unlink(head)):
            known.append((names[unlink(code)], unlink(head)))
    return known


def _recorded_entries(store: MemoryStore, node: Cid) -> list[Any]:
    entries = []
    for pointer in decode_strict(store.get(node))[1]:
        if isinstance(pointer, list):
            entries += [value for _, value in pointer]
        elif store.has(unlink(pointer)):
            entries += _recorded_entries(store, unlink(pointer))
    return entries


@pytest.mark.slow
def test_states_of_the_main_network_are_read_and_written_back() -> None:
    data_file("vectors/fvm-nv18")
    seen: dict[str, set[Cid]] = {}
    for vector, archive in recorded():
        store = MemoryStore()
        store.put_many(archive.items())
        try:
            actors = actors_of(store, parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"]))
        except BlockNotFound:
            continue
        for name, head in actors:
            schema = SCHEMAS[name]
            kind = "StateV10" if "StateV10" in schema.types else "State"
            data = decode_strict(store.get(head))
            assert encode(schema.write(kind, schema.read(kind, data))) == store.get(head)
            seen.setdefault(name, set()).add(head)
    assert seen.keys() >= {
        *("account", "init", "multisig", "reward", "storagemarket", "storageminer", "storagepower"),
        "verifiedregistry",
    }
    assert sum(map(len, seen.values())) > 80


METHOD = re.compile(r"# method (?:\d+ = )?(\d{6,})[^\n]*\n(?:#[^\n]*\n)*type (\w+?)(?:Params|Return)\b")


def test_method_numbers_in_the_comments_are_those_of_the_names() -> None:
    checked = 0
    for name in NAMES:
        for number, method in METHOD.findall(schema_text(name)):
            if method == "UniversalReceiver":
                method = "Receive"
            assert method_number(method) == int(number), (name, method)
            checked += 1
    assert checked > 40


def test_parameters_round_trip() -> None:
    store = MemoryStore()
    schema = SCHEMAS["storagepower"]
    params = {
        "owner": b"\x00\x64",
        "worker": b"\x00\x65",
        "window_post_proof_type": 10,
        "peer": b"peer",
        "multiaddrs": [b"address"],
    }
    data = schema.write("CreateMinerParams", params)
    assert data == [b"\x00\x64", b"\x00\x65", 10, b"peer", [b"address"]]
    assert schema.read("CreateMinerParams", decode_strict(store.get(put_object(store, data)))) == params
    with pytest.raises(SchemaError, match="multiaddrs/0: expected bytes, found a string"):
        schema.write("CreateMinerParams", params | {"multiaddrs": ["address"]})
