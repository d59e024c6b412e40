"""Networks with features that no public network has: users' code installation, and upgrades of actors."""

from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode as encode_abi

from bridge.ethereum.addresses import EthAddress
from bridge.filecoin.method_numbers import method_number
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.messages.address import Address
from hypervisor.types import INIT_ACTOR
from hypervisor.versions.features import with_features
from localnet import Network
from store.cid import RAW, cid_of
from store.codec import decode, encode, link
from tests.localnet.conftest import network_fixture
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.wasm.guests import data, guest, wasm

INSTALL, EXEC = method_number("InstallCode"), method_number("Exec")
CALL_ACTOR_BY_ID = "0xfe00000000000000000000000000000000000005"
CBOR = 0x51
FORWARDER = (
    "CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY PUSH0 PUSH0 CALLDATASIZE PUSH0 "
    f"{CALL_ACTOR_BY_ID} GAS DELEGATECALL POP RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY RETURNDATASIZE PUSH0 RETURN"
)
"""Code that forwards its calldata to the precompile for calls of actors by ID, and returns the result."""
UPGRADING = """(module
    (import "actor" "upgrade_actor" (func $upgrade (param i32 i32 i32) (result i32)))
    (import "ipld" "block_read" (func $read (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "invoke") (param i32) (result i32)
        (if (local.get 0) (then
            (if (call $read (i32.const 0) (local.get 0) (i32.const 0) (i32.const 100) (i32.const 38))
                (then unreachable))
            (if (call $upgrade (i32.const 0) (i32.const 100) (i32.const 0)) (then unreachable))))
        (i32.const 0)))"""
"""An actor that upgrades itself to the code CID in its parameters."""


network = network_fixture(lambda: Network(overlay=with_features(["m2-native", "upgrade-actor"])))


def constant_actor(text: bytes) -> bytes:
    """Return an actor that returns a text for every method; its `upgrade` returns nothing."""
    body = (
        f"(drop (call $block_create (i32.const 100) (i64.const 0x55) (i32.const 0) (i32.const {len(text)})))"
        "(i32.load (i32.const 100))"
    )
    upgrade = '(func (export "upgrade") (param i32 i32) (result i32) (i32.const 0))'
    return guest(body, "ipld.block_create", fields=data(0, text) + upgrade)


def init_call_input(method: int, params: bytes) -> bytes:
    """Return the precompile's input for a call of the init actor."""
    types = ["uint64", "uint256", "uint64", "uint64", "bytes", "uint64"]
    return encode_abi(types, [method, 0, 0, CBOR, params, INIT_ACTOR])


def call_init_from_contract(network: Network, contract: EthAddress, method: int, params: bytes) -> tuple[int, Any]:
    """Call the init actor from a contract in a transaction; return the exit code and the decoded result."""
    exit_code, _codec, result = decode_abi(
        ["int256", "uint64", "bytes"], network.call(contract, init_call_input(method, params))
    )
    network.send(contract, 0, init_call_input(method, params))
    return exit_code, decode(result) if result else None


@pytest.fixture
def contract(network: Network) -> EthAddress:
    return forwarder(network)


def forwarder(network: Network) -> EthAddress:
    address = network.send(None, 0, deployer(assemble(FORWARDER))).contract_address
    assert address is not None
    return address


def create_actor(network: Network, contract: EthAddress, module: bytes) -> Address:
    """Install a module and create an actor of it from a contract."""
    code = cid_of(module, RAW)
    assert call_init_from_contract(network, contract, INSTALL, encode([module])) == (0, [link(code), True])
    exit_code, (id_address, _robust) = call_init_from_contract(network, contract, EXEC, encode([link(code), b""]))
    assert exit_code == 0
    return Address.from_bytes(id_address)


def test_a_contract_installs_a_module_and_creates_an_actor_of_it(network: Network, contract: EthAddress) -> None:
    actor = create_actor(network, contract, constant_actor(b"hello"))
    assert actor_answer(network, actor) == b"hello"


def actor_answer(network: Network, actor: Address) -> bytes:
    return network.actors.unknown(actor).call_raw(2)


def test_code_is_installed_once(network: Network, contract: EthAddress) -> None:
    module = constant_actor(b"hello")
    call_init_from_contract(network, contract, INSTALL, encode([module]))
    assert call_init_from_contract(network, contract, INSTALL, encode([module])) == (
        0,
        [link(cid_of(module, RAW)), False],
    )


def test_invalid_module_is_not_installed(network: Network, contract: EthAddress) -> None:
    exit_code, _ = call_init_from_contract(network, contract, INSTALL, encode([b"no module"]))
    assert exit_code == ExitCode.USR_ILLEGAL_ARGUMENT


def test_actor_of_uninstalled_code_cannot_be_created(network: Network, contract: EthAddress) -> None:
    exit_code, _ = call_init_from_contract(network, contract, EXEC, encode([link(cid_of(b"else", RAW)), b""]))
    assert exit_code == ExitCode.USR_FORBIDDEN


def test_init_actor_lacks_install_method_without_feature() -> None:
    with Network() as network:
        contract = forwarder(network)
        exit_code, _ = call_init_from_contract(network, contract, INSTALL, encode([constant_actor(b"hello")]))
        assert exit_code == ExitCode.USR_UNHANDLED_MESSAGE


def test_an_installed_actor_upgrades_itself(network: Network, contract: EthAddress) -> None:
    actor = create_actor(network, contract, wasm(UPGRADING))
    later = constant_actor(b"later")
    call_init_from_contract(network, contract, INSTALL, encode([later]))
    network.actors.unknown(actor).send(2, cbor=cid_of(later, RAW))
    assert actor_answer(network, actor) == b"later"


@pytest.mark.slow
def test_a_folder_has_its_features_for_good(tmp_path: Path) -> None:
    both = with_features(["m2-native", "upgrade-actor"])
    with Network(tmp_path, overlay=both) as network:
        contract = forwarder(network)
        actor = create_actor(network, contract, constant_actor(b"hello"))
    with Network(tmp_path, overlay=both) as network:
        assert actor_answer(network, actor) == b"hello"
    options = "--feature m2-native --feature upgrade-actor"
    with pytest.raises(InvalidInput, match=f"made with the overlay 'm2-native and upgrade-actor' .*{options}, or over"):
        Network(tmp_path)
    Network(tmp_path / "without").close()
    with pytest.raises(
        InvalidInput, match=rf"made without an overlay, not with 'm2-native .*omit it \({options}, or over"
    ):
        Network(tmp_path / "without", overlay=both)


@pytest.mark.parametrize("version", [21, 28, 29])
def test_the_feature_takes_an_init_actor_that_installs(version: int) -> None:
    feature = with_features(["m2-native"])
    with Network(network=version, overlay=feature) as network:
        assert network.machine.state_tree.init_state().installed is not None
    with pytest.raises(InvalidInput, match="does not support the feature m2-native"):
        Network(network=version, bundle=Bundle.for_actors(19 if version == 29 else 18), overlay=feature)


def test_features_are_for_filecoins_rules() -> None:
    with pytest.raises(InvalidInput, match="upgrade-actor requires Filecoin's rules, not 'ethereum'"):
        Network(rules="ethereum", overlay=with_features(["upgrade-actor"]))
