"""Users' actors on a network: code with its interface, creation, and calls by name with typed values."""

from pathlib import Path

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.errors import InvalidInput, InvalidModule
from hypervisor.machine.machine import CreationFailed
from localnet import CallFailed, NativeActor, Network, TransactionFailed
from store.cid import RAW, cid_of
from tests.conftest import bundle_file
from tests.localnet.conftest import network_fixture

TEMPLATE = Path(__file__).parents[3] / "hypervisor" / "builtin_actors" / "template" / "tip_jar"
MODULE, SCHEMA = TEMPLATE / "tip_jar.wasm", TEMPLATE / "interface.ipldsch"
FIL = 10**18


network = network_fixture(lambda: Network())


@pytest.fixture
def jar(network: Network) -> NativeActor:
    return network.actors.create(network.actors.install(MODULE, SCHEMA), {"owner": network.accounts[0].native})


@pytest.mark.slow
def test_native_call_returns_typed_value_and_changes_no_state(network: Network, jar: NativeActor) -> None:
    assert jar.call("Tip", {"note": "hi"}, value=FIL) == 1
    assert jar.call("Total") == {"tips": 0, "received": 0}
    assert network.balance(jar.address) == 0
    assert network.block_number == 0


def test_message_is_included_and_answer_read_from_receipt(network: Network, jar: NativeActor) -> None:
    receipt = jar.send("Tip", ["hi"], value=FIL, sender=network.accounts[3])
    assert (receipt.block_number, jar.return_value("Tip", receipt)) == (1, 1)
    assert network.balance(jar.address) == FIL
    assert jar.state == {"owner": Address.id(100), "tips": 1, "received": FIL}


def test_actor_refusal_shows_its_message_and_changes_nothing(network: Network, jar: NativeActor) -> None:
    with pytest.raises(TransactionFailed, match="only the owner withdraws") as caught:
        jar.send("Withdraw", {"amount": 1}, sender=network.accounts[1])
    assert caught.value.exit_code == 18
    with pytest.raises(CallFailed, match="a tip is a message with value") as refused:
        jar.call("Tip", {"note": ""})
    assert refused.value.exit_code == 16
    assert jar.state.tips == 0


@pytest.mark.slow
def test_code_actor_and_interface_survive_the_folder(tmp_path: Path) -> None:
    with Network(tmp_path) as network:
        code = network.actors.install(MODULE, SCHEMA)
        address = network.actors.create(code, {"owner": "f0100"}, value=5).address
        assert code == cid_of(MODULE.read_bytes(), RAW)
    with Network(tmp_path) as network:
        assert network.actors.at(address).call("Total").tips == 0
        assert network.balance(address) == 5
        again = network.actors.create(code, {"owner": "f0101"})
        assert again.state.owner == Address.id(101)


def test_the_official_actors_know_users_actors_too() -> None:
    with Network(bundle=bundle_file("bundles/v18-devnet.car")) as network:
        jar = network.actors.create(network.actors.install(MODULE, SCHEMA), {"owner": network.accounts[0].native})
        jar.send("Tip", ["hi"], value=FIL, sender=network.accounts[1])
        jar.send("Withdraw", [FIL])
        assert (jar.state.tips, network.balance(jar.address)) == (1, 0)
        assert network.actors.at("f07").call("Name") == "DataCap"


def test_native_actor_has_the_id_of_its_address(network: Network, jar: NativeActor) -> None:
    assert (network.actors.at("f07").id, network.actors.at("f0100").id) == (7, 100)
    assert Address.id(jar.id) == network.actors.at(f"f0{jar.id}").address
    assert network.machine.state_tree.lookup_id(jar.address) == jar.id


def test_built_in_actors_are_called_by_their_schemas(network: Network) -> None:
    assert network.actors.at("f07").call("Name") == "DataCap"
    assert network.actors.at("f07").call("TotalSupply") == 0
    assert network.actors.at("f03").state.entries[0].receiver == Address.id(4)


def test_byte_string_return_is_decoded_as_native_value(network: Network) -> None:
    power = network.actors.at("f04")
    assert power.return_value("NetworkRawPower", power.send("NetworkRawPower")) == 0


def test_explicit_interface_is_used_if_none_is_stored(network: Network, tmp_path: Path) -> None:
    code = network.actors.install(MODULE.read_bytes())
    with pytest.raises(InvalidInput, match="install its module on this chain with its schema"):
        network.actors.create(code)
    network.actors.install(MODULE, SCHEMA)
    jar = network.actors.create(code, {"owner": "f0100"})
    other = tmp_path / "other.ipldsch"
    other.write_text("type TotalReturn any")
    assert network.actors.at(jar.address, other).call("Total") == [0, b""]


def test_a_constructor_that_refuses_leaves_no_actor(network: Network) -> None:
    code = network.actors.install(MODULE, SCHEMA)
    root = network.machine.root
    nobody = Address.actor(b"nobody")
    with pytest.raises(CreationFailed, match="nobody has the owner's address"):
        network.actors.create(code, {"owner": nobody})
    with pytest.raises(InvalidInput, match="owner: expected an address"):
        network.actors.create(code, {"owner": 5})
    with pytest.raises(InvalidInput, match="cannot be a balance"):
        network.actors.create(code, {"owner": "f0100"}, value=-1)
    assert network.machine.root == root


def test_invalid_files_are_rejected_and_nothing_is_installed(network: Network, tmp_path: Path) -> None:
    broken, binary, unfinished = (tmp_path / name for name in ("broken.wasm", "binary.ipldsch", "half.ipldsch"))
    unfinished.write_text("type X")
    broken.write_bytes(b"\0asm\x01\0\0\0\xff")
    binary.write_bytes(b"\xff\xfe")
    root = network.machine.root
    with pytest.raises(InvalidModule):
        network.actors.install(broken, SCHEMA)
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        network.actors.install(tmp_path / "absent.wasm")
    with pytest.raises(InvalidInput, match="is not a file"):
        network.actors.install("/dev/zero")
    with pytest.raises(InvalidInput, match="is not text"):
        network.actors.install(MODULE, binary)
    with pytest.raises(InvalidInput, match="is not an interface: line 1"):
        network.actors.install(MODULE, unfinished)
    assert (network.machine.root, network.machine.store.has(cid_of(MODULE.read_bytes(), RAW))) == (root, False)


def test_unknown_actor_method_or_interface_is_reported(network: Network, jar: NativeActor) -> None:
    with pytest.raises(InvalidInput, match="there is no actor f09999"):
        network.actors.at("f09999")
    with pytest.raises(InvalidInput, match="no method 'Nope'"):
        jar.send("Nope")
    code = network.actors.install((TEMPLATE.parents[3] / "examples" / "counter" / "counter.wasm").read_bytes())
    created = network.machine.create(code)
    with pytest.raises(InvalidInput, match="is not known: name its schema"):
        network.actors.at(created.address)


def test_compiled_actor_method_numbers_match_interface(jar: NativeActor) -> None:
    # The Rust side hashes names by its own crate (frc42_dispatch): a call that arrives shows that both agree.
    assert {name: number for name, (number, _) in jar.interface.methods.items() if number != 1} == {
        name: method_number(name) for name in ("Tip", "Total", "Withdraw")
    }
    assert jar.call("Withdraw", {"amount": 0}) is None


def test_a_trace_has_the_words_of_the_installed_schema(network: Network, jar: NativeActor) -> None:
    receipt = jar.send("Tip", {"note": "thanks"}, value=FIL)
    number = network.machine.state_tree.lookup_id(jar.address)
    text = str(receipt.trace)
    assert f'f0{number} tip_jar Tip(note="thanks")' in text
    assert "-> 1" in text
    assert 'event tipped(from=100, amount=1000000000000000000, note="thanks")' in text


def test_params_not_matching_schema_are_shown_as_bytes_with_note(network: Network, jar: NativeActor) -> None:
    number = jar.interface.number("Tip")
    with pytest.raises(TransactionFailed) as caught:
        network.send_native(jar.address, number, bytes.fromhex("8105"), value=1, gas_limit=10**9)
    assert caught.value.receipt is not None
    assert "Tip(0x8105, which is not TipParams: note: expected a string, found an integer)" in str(
        caught.value.receipt.trace
    )
