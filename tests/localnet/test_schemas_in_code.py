"""Schemas in the code of actors: decoded values on every chain that has the code, without configuration."""

import json
from pathlib import Path

import pytest

from hypervisor.builtin_actors import build
from hypervisor.bundles.bundle import custom_section
from hypervisor.errors import InvalidInput
from localnet import NativeActor, Network
from localnet.rpc.server.server import serving
from localnet.state.named_code import SCHEMA_SECTION, schema_in_module, stored_schema, with_schema
from store.blocks.memory import MemoryStore
from store.cid import RAW, cid_of
from tests.command import run
from tests.localnet.conftest import Clock

MODULE = build.module_file(build.TEMPLATE).read_bytes()
TEXT = (build.TEMPLATE / "interface.ipldsch").read_text()
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


def test_section_costs_no_gas_in_calls(network: Network, tmp_path: Path) -> None:
    beside = tmp_path / "interface.ipldsch"
    beside.write_text(TEXT)
    jars = jar_on(network, with_schema(MODULE, TEXT)), jar_on(network, MODULE, beside)
    first, second = (jar.send("Tip", {"note": "thanks"}, value=FIL).gas_used for jar in jars)
    assert first == second


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
