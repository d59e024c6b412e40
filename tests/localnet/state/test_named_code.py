"""Schemas in the code of actors: decoded values on every chain that has the code, without configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from hypervisor.bundles.bundle import custom_section
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import ActorState
from localnet import NativeActor, Network
from localnet.contracts.native_actor import existing_actor
from localnet.rpc.node import Node
from localnet.rpc.server.server import serving
from localnet.state.actor_interfaces import MAX_LINKS, NO_SCHEMA, StoredSchemas
from localnet.state.named_code import SCHEMA_SECTION, schema_in_module, stored_schema, with_schema
from scripts import build_guests
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.cid import RAW, Cid, cid_of, show
from store.codec import link
from tests.command import run
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visitor
from tests.runtimes.wasm.guests import guest

MODULE = build_guests.module_file(build_guests.TEMPLATE).read_bytes()
TEXT = (build_guests.TEMPLATE / "interface.ipldsch").read_text()
OTHER = "type Count int\ntype State struct { owners Count } representation tuple\n"
FIL = 10**18


def jar_on(network: Network, module: bytes, schema: Path | None = None) -> NativeActor:
    code = network.actors.install(module, schema)
    return network.actors.create(code, {"owner": network.accounts[0].native})


def test_section_is_that_of_the_wasm_specification() -> None:
    """Custom section: ID 0, size, name with size, content (WebAssembly 1.0, 5.5.3)."""
    added = with_schema(MODULE, TEXT)[len(MODULE) :]
    size = len(TEXT) + 1 + len("ipld.schema")
    assert added == bytes([0, size & 0x7F | 0x80, size >> 7]) + b"\x0bipld.schema" + TEXT.encode()
    assert custom_section(with_schema(MODULE, TEXT), SCHEMA_SECTION) == TEXT.encode()


@pytest.mark.slow
def test_actor_installed_without_schema_file_is_typed(network: Network) -> None:
    jar = jar_on(network, with_schema(MODULE, TEXT))
    receipt = jar.send("Tip", {"note": "thanks"}, value=FIL)
    assert jar.return_value("Tip", receipt) == 1
    assert jar.state.received == FIL
    trace = str(network.trace(receipt.hash))
    assert "Tip" in trace
    assert "thanks" in trace
    assert network.inspect(f"{jar.address}/state/received").value == str(FIL)


@pytest.mark.slow
def test_section_costs_no_gas_in_calls(network: Network, tmp_path: Path) -> None:
    beside = tmp_path / "interface.ipldsch"
    beside.write_text(TEXT)
    jars = jar_on(network, with_schema(MODULE, TEXT)), jar_on(network, MODULE, beside)
    first, second = (jar.send("Tip", {"note": "thanks"}, value=FIL).gas_used for jar in jars)
    assert first == second


@pytest.mark.slow
def test_fork_shows_values_only_with_the_schema_in_the_code(network: Network, tmp_path: Path) -> None:
    beside = tmp_path / "interface.ipldsch"
    beside.write_text(TEXT)
    with_section, without = jar_on(network, with_schema(MODULE, TEXT)), jar_on(network, MODULE, beside)
    with_section.send("Tip", {"note": "thanks"}, value=FIL)
    with serving(network) as url, Network.fork(url, clock=Clock(1_800_000_000)) as fork:
        assert fork.inspect(f"{with_section.address}/state/received").value == str(FIL)
        jar = fork.actors.at(with_section.address)
        trace = str(fork.trace(jar.send("Tip", {"note": "on the fork"}, value=1).hash))
        assert "on the fork" in trace
        with pytest.raises(InvalidInput, match="is not known: name its schema"):
            fork.actors.at(without.address)


@pytest.mark.slow
def test_schema_of_the_user_precedes_that_in_the_code(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "other.ipldsch"
    file.write_text(OTHER)
    code = network.actors.install(with_schema(MODULE, TEXT), file)
    assert stored_schema(network.machine.base, code) == OTHER
    again = network.actors.install(with_schema(MODULE, TEXT))
    assert (again, stored_schema(network.machine.base, again)) == (code, OTHER)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"type State struct {", "the module's section ipld.schema is not an interface"),
        (b"\xff\xfe", "the module's section ipld.schema is not text"),
        (b"", "the module's section ipld.schema declares no types"),
        (b"#" * 300_000, "the module's section ipld.schema exceeds 262,144 characters"),
    ],
)
def test_invalid_schema_in_code_is_refused_and_ignored(network: Network, text: bytes, words: str) -> None:
    content = b"\x0bipld.schema" + text
    module = MODULE + b"\0" + len(content).to_bytes(1, "big") + content if len(content) < 128 else _padded(content)
    with pytest.raises(InvalidInput, match=words):
        schema_in_module(module)
    before = network.machine.root
    with pytest.raises(InvalidInput, match=words):
        network.actors.install(module)
    assert network.machine.root == before
    store, code = MemoryStore(), cid_of(module, RAW)
    store.put(code, module)  # as a message of another chain could
    assert stored_schema(store, code) is None


def _padded(content: bytes) -> bytes:
    size = len(content)
    return MODULE + bytes([0, size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + content


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (MODULE[:-1], r"offset \d+: the section has \d+ bytes, but \d+ are left"),
        (MODULE + b"\xff" * 40, "the size of a section is incomplete or longer than five bytes"),
        (b"\0asm\2\0\0\0" + MODULE[8:], "it starts with 0x0061736d02000000"),
    ],
)
def test_damaged_module_gets_no_schema(module: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=f"the file is not a WASM module: .*{words}"):
        with_schema(module, TEXT)


def test_sizes_of_sections_may_be_padded() -> None:
    module = MODULE + b"\0\x82\x80\x80\x80\0" + b"\x01a"
    assert custom_section(with_schema(module, TEXT), SCHEMA_SECTION) == TEXT.encode()


def test_code_that_cannot_be_read_has_no_schema() -> None:
    store, module = MemoryStore(), with_schema(MODULE + b"\0\x02\x01a", TEXT)
    code = cid_of(module, RAW)
    assert stored_schema(store, code) is None
    store.put(code, module)
    assert stored_schema(store, code) == TEXT


@pytest.mark.slow
def test_embed_writes_a_module_that_install_accepts(tmp_path: Path) -> None:
    wasm, schema, out = tmp_path / "jar.wasm", tmp_path / "jar.ipldsch", tmp_path / "out.wasm"
    wasm.write_bytes(MODULE)
    schema.write_text(TEXT)
    made = run("actor", "embed", wasm, schema, "--out", out)
    assert made.exit_code == 0, made.output
    assert out.read_bytes() == with_schema(MODULE, TEXT)
    chain = tmp_path / "chain"
    assert run("actor", "install", out, "--state", chain).stdout == made.stdout
    created = run("actor", "create", made.stdout.strip(), '{"owner": "f0100"}', "--state", chain, "--json")
    assert created.exit_code == 0, created.output
    actor = json.loads(created.stdout)["id"]
    assert json.loads(run("inspect", chain, f"{actor}/state/received", "--json").stdout) == "0"
    twice = run("actor", "embed", out, schema, "--out", tmp_path / "twice.wasm")
    assert (twice.exit_code, "already has a section ipld.schema" in twice.stderr) == (2, True)
    other = run("actor", "embed", schema, schema, "--out", tmp_path / "twice.wasm")
    assert (other.exit_code, "is not a WASM module" in other.stderr) == (2, True)
    assert not (tmp_path / "twice.wasm").exists()


SCHEMAS_IN_STATE_TEXT = """# ipld.schema
type State struct {
    schema Link
    count Int
} representation tuple
type PokeParams struct {
    amount TokenAmount
    note String
} representation tuple
"""
IN_CODE = "type State struct { first Link second Int } representation tuple\n"
SYSCALLS = ("ipld.block_create", "ipld.block_link", "self.set_root")


def linking(text: bytes) -> bytes:
    """Return an actor that writes the state [link to the text, 7] at each call: 0x82 d82a 58 27 00 CID 07."""
    shown = "".join(f"\\{byte:02x}" for byte in text)
    return guest(
        f"""
        (drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 4096) (i32.const {len(text)})))
        (drop (call $block_link (i32.const 8) (i32.load (i32.const 0)) (i64.const 0xb220) (i32.const 32)
            (i32.const 262) (i32.const 38)))
        (drop (call $block_create (i32.const 0) (i64.const 0x71) (i32.const 256) (i32.const 45)))
        (drop (call $block_link (i32.const 8) (i32.load (i32.const 0)) (i64.const 0xb220) (i32.const 32)
            (i32.const 400) (i32.const 38)))
        (drop (call $set_root (i32.const 400)))
        (i32.const 0)""",
        *SYSCALLS,
        fields=f'(data (i32.const 256) "\\82\\d8\\2a\\58\\27\\00") (data (i32.const 300) "\\07")'
        f'(data (i32.const 4096) "{shown}")',
        pages="8",
    )


def created(network: Network, text: bytes, module: bytes | None = None) -> NativeActor:
    code = network.actors.install(linking(text) if module is None else module)
    return network.actors.create(code, cbor=b"")


def test_an_actor_is_typed_by_the_schema_that_its_state_links(network: Network) -> None:
    code = network.actors.install(linking(SCHEMAS_IN_STATE_TEXT.encode()))
    actor = network.actors.at(network.actors.create(code, cbor=b"").address)
    assert actor.state.count == 7
    receipt = actor.send("Poke", {"amount": FIL, "note": "hello"})
    trace = network.trace(receipt.hash)
    assert "Poke" in str(trace)
    assert "hello" in str(trace)
    schema = show(cid_of(SCHEMAS_IN_STATE_TEXT.encode(), RAW))
    assert (trace.calls[0]["schema"], trace.calls[0]["schemas"]) == (schema, {schema: SCHEMAS_IN_STATE_TEXT})
    assert network.inspect(f"{actor.address}/state/count").value == 7
    assert "schemaFault" not in trace.calls[0]


@pytest.mark.slow
def test_a_fork_has_the_schema_too(network: Network) -> None:
    actor = created(network, SCHEMAS_IN_STATE_TEXT.encode())
    with serving(network) as url, Network.fork(url, clock=Clock(1_800_000_000)) as fork:
        assert fork.inspect(f"{actor.address}/state/count").value == 7
        sent = fork.actors.at(actor.address).send("Poke", {"amount": 1, "note": "on the fork"})
        assert "on the fork" in str(fork.trace(sent.hash))


def test_order_of_a_file_the_state_and_the_code(network: Network, tmp_path: Path) -> None:
    module = with_schema(linking(SCHEMAS_IN_STATE_TEXT.encode()), IN_CODE)
    actor = created(network, b"", module)
    assert actor.address == network.actors.at(actor.address).address
    assert network.inspect(f"{actor.address}/state/count").value == 7
    file = tmp_path / "beside.ipldsch"
    file.write_text("type State struct { where Link number Int } representation tuple\n")
    network.actors.install(module, file)
    assert network.inspect(f"{actor.address}/state/number").value == 7


BROKEN = [
    (b"# ipld.schema\ntype State struct {", "which the state links, is not an interface: line"),
    (b"# ipld.schema\n\xff\xfe", "which the state links, is not text"),
    (b"# ipld.schema\n", "which the state links, declares no types"),
    (b"# ipld.schema\n" + b"#" * 300_000, "which the state links, exceeds 262,144 bytes"),
    (b"# ipld.schema\ntype A " + b"{String:" * 100 + b"Int" + b"}" * 100, "nested deeper than 64 levels"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN, ids=["syntax", "encoding", "empty", "size", "nesting"])
def test_a_broken_schema_gives_a_note_and_undecoded_values(network: Network, text: bytes, words: str) -> None:
    actor = created(network, text)
    receipt = actor.send(2, cbor=b"\x07")
    trace = network.trace(receipt.hash)
    assert words in trace.calls[0]["schemaFault"]
    assert f"shown undecoded: the schema {show(cid_of(text, RAW))}, which the state links" in str(trace)
    assert network.inspect(f"{actor.address}/state/1").value == 7
    with pytest.raises(
        InvalidInput, match=f"the interface of .* is not known: the schema .*{words}.*; name its schema"
    ):
        network.actors.at(actor.address)


def test_a_broken_schema_in_the_state_gives_no_note_if_the_code_has_one(network: Network) -> None:
    actor = created(network, b"", with_schema(linking(BROKEN[0][0]), IN_CODE))
    assert network.inspect(f"{actor.address}/state/second").value == 7
    found = StoredSchemas.of_machine(network.machine)(existing_actor(network.machine, actor.address))
    assert (found.text, found.fault) == (IN_CODE, "")


def test_a_broken_schema_in_the_code_is_reported_too(network: Network) -> None:
    module = linking(b"nothing")
    content = b"\x0bipld.schema" + b"type State struct {"
    with pytest.raises(InvalidInput):
        network.actors.install(module + b"\0" + bytes([len(content)]) + content)
    machine = network.machine
    code = cid_of(module + b"\0" + bytes([len(content)]) + content, RAW)
    machine.base.commit([(code, module + b"\0" + bytes([len(content)]) + content)], {})
    known = StoredSchemas.of_machine(machine)(ActorState(code))
    assert known.text is None
    assert "the module's section ipld.schema is not an interface" in known.fault


@pytest.mark.slow
def test_a_state_that_does_not_match_its_schema_is_noted(tmp_path: Path) -> None:
    text = b"# ipld.schema\ntype State struct { a Int b Int c Int } representation tuple\n"
    folder = tmp_path / "chain"
    with Network(folder, clock=Clock()) as network:
        actor = created(network, text)
    ran = run("inspect", folder, f"{actor.address}/state/1", "--json")
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, 7)
    assert f"note: shown undecoded: the state of {actor.address} does not match a state type" in ran.stderr
    shown = run("actor", "inspect", actor.address, "--state", folder)
    assert (shown.exit_code, "note: shown undecoded" in shown.stderr) == (0, True)


@pytest.mark.slow
def test_the_commands_decode_without_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    with Network(folder, clock=Clock()) as network:
        actor = created(network, SCHEMAS_IN_STATE_TEXT.encode())
        with serving(network) as url:
            sent = run("actor", "call", actor.address, "Poke", '{"amount": "5", "note": "hi"}', "--rpc-url", url)
            assert sent.exit_code == 0, sent.output
    ran = run("inspect", folder, f"{actor.address}/state/count")
    assert (ran.exit_code, ran.stdout.strip(), ran.stderr) == (0, "7", "")


@pytest.mark.parametrize(
    ("text", "shown"), [(SCHEMAS_IN_STATE_TEXT.encode(), "count"), (BROKEN[0][0], "Shown undecoded")]
)
def test_the_explorer_shows_fields_or_the_fault(network: Network, text: bytes, shown: str) -> None:
    actor = created(network, text)
    network.mine()
    page = Visitor(Node(network))(f"/actor/{actor.address}/state")
    assert shown in page.text
    assert ("Shown undecoded" in page.text) == (shown == "Shown undecoded")


# --- the rules of the link -------------------------------------------------------------------------------------------


def schema_in(state: Any, *texts: bytes, codec: int = RAW) -> Any:
    """Return the schema of an actor whose state is made of the links to the texts."""
    store = MemoryStore()
    cids = [cid_of(text, codec) for text in texts]
    store.put_many(list(zip(cids, texts, strict=True)))
    head = put_object(store, state([link(cid) for cid in cids]))
    return StoredSchemas(store, store)(ActorState(cid_of(b"code", RAW), head))


def test_only_top_level_links_to_text_with_the_heading_are_schemas() -> None:
    text = SCHEMAS_IN_STATE_TEXT.encode()
    assert schema_in(lambda links: links, b"data", text).text == SCHEMAS_IN_STATE_TEXT
    assert schema_in(lambda links: {"a": 1, "schema": links[0]}, text).text == SCHEMAS_IN_STATE_TEXT
    assert schema_in(lambda links: [links], text) == NO_SCHEMA
    assert schema_in(lambda links: links[0], text) == NO_SCHEMA
    assert schema_in(lambda links: links, b"\n" + text) == NO_SCHEMA
    assert schema_in(lambda links: 5) == NO_SCHEMA
    assert schema_in(lambda links: links, *(bytes([number]) for number in range(MAX_LINKS)), text) == NO_SCHEMA
    assert (
        schema_in(lambda links: links, *(bytes([number]) for number in range(MAX_LINKS - 1)), text).text
        == SCHEMAS_IN_STATE_TEXT
    )


def test_a_later_sound_schema_is_used_after_a_broken_one() -> None:
    found = schema_in(lambda links: links, b"# ipld.schema\n\xff", SCHEMAS_IN_STATE_TEXT.encode())
    assert (found.text, found.fault) == (SCHEMAS_IN_STATE_TEXT, "")


def test_missing_blocks_are_no_schema(network: Network) -> None:
    machine: Hypervisor = network.machine
    schemas, code = StoredSchemas.of_machine(machine), cid_of(b"no code", RAW)
    assert schemas(ActorState(code, cid_of(b"no state"))) == NO_SCHEMA
    missing = put_object(machine.store, [link(Cid(cid_of(b"no schema", RAW)))])
    assert schemas(ActorState(code, missing)) == NO_SCHEMA
