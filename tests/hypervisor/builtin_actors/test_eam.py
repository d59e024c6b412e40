"""The EAM: allowed callers and contract addresses, which are Ethereum's; the official cases cover deployment.

The EVM actor of our own bundle is a marker: contracts run in the EVM runtime.
"""

import pytest
import rlp

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.filecoin.parameters import CREATE2_METHOD, CREATE_EXTERNAL_METHOD, CREATE_METHOD, CreateReturn
from hypervisor import Address
from hypervisor.state.state_tree import ActorState
from hypervisor.types import EAM_ACTOR, ActorID
from store.codec import encode
from store.keccak import keccak
from tests.hypervisor.builtin_actors.world import ETH_ACCOUNT, KEY_ACCOUNT, World

EAM = Address.id(EAM_ACTOR)
CREATOR = ActorID(700)


def contract_at(world: World, address: bytes) -> None:
    """Create an actor with a contract's code at an address, as far as the EAM checks it."""
    delegated = to_filecoin(EthAddress(address))
    state = ActorState(world.machine.manifest.code("evm"), delegated_address=delegated)
    world.machine.state_tree.set_actor(CREATOR, state)


def deployed(world: World, method: int, params: bytes) -> str:
    result = world.send_as(CREATOR, EAM, method, params)
    assert result.exit_code == 0, result.message
    return CreateReturn.decode(result.return_data).eth_address.hex()


@pytest.mark.parametrize(
    ("sender", "nonce", "expected"),
    [
        ("00" * 20, 0, "bd770416a3345f91e4b34576cb804a576fa48eb1"),
        ("00" * 20, 200, "a6b14387c1356b443061155e9c3e17f72c1777e5"),
        ("7b" * 20, 12_345, "809a9ab0471e78ee5100e96ca4d0828d1b97e2ba"),
    ],
)
def test_create_computes_known_addresses(world: World, sender: str, nonce: int, expected: str) -> None:
    contract_at(world, bytes.fromhex(sender))
    assert deployed(world, CREATE_METHOD, encode([b"", nonce])) == expected


@pytest.mark.parametrize("nonce", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**63, 2**64 - 1])
def test_create_encodes_every_size_of_nonce_as_rlp_does(world: World, nonce: int) -> None:
    sender = bytes([0x5A]) * 20
    contract_at(world, sender)
    expected = keccak(rlp.encode([sender, nonce]))[12:]
    assert deployed(world, CREATE_METHOD, encode([b"", nonce])) == expected.hex()


@pytest.mark.parametrize(
    ("sender", "salt", "init_code", "expected"),
    [
        ("00" * 20, "00" * 32, b"", "e33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"),
        ("99" * 20, "42" * 32, b"foobar", "64425c93a90901271fa355c2bc462190803b97d4"),
    ],
)
def test_create2_computes_known_addresses(
    world: World, sender: str, salt: str, init_code: bytes, expected: str
) -> None:
    contract_at(world, bytes.fromhex(sender))
    assert deployed(world, CREATE2_METHOD, encode([init_code, bytes.fromhex(salt)])) == expected


def test_eth_account_deploys_at_standard_create_address(world: World) -> None:
    result = world.send(EAM, CREATE_EXTERNAL_METHOD, encode(b""), sender=ETH_ACCOUNT)
    created = CreateReturn.decode(result.return_data)
    assert created.eth_address == keccak(rlp.encode([ETH_ACCOUNT.subaddress(), 0]))[12:]
    assert world.id_of(to_filecoin(created.eth_address)) == created.actor


def test_a_key_account_deploys_at_an_address_made_of_its_key(world: World) -> None:
    result = world.send(EAM, CREATE_EXTERNAL_METHOD, encode(b""), sender=KEY_ACCOUNT)
    seed = keccak(KEY_ACCOUNT.to_bytes())[12:]
    assert CreateReturn.decode(result.return_data).eth_address == keccak(rlp.encode([seed, 0]))[12:]


def test_a_key_account_deploys_under_its_id(world: World) -> None:
    store_caller = bytes.fromhex("335f5500")  # CALLER PUSH0 SSTORE STOP
    result = world.send(EAM, CREATE_EXTERNAL_METHOD, encode(store_caller), sender=KEY_ACCOUNT)
    contract = CreateReturn.decode(result.return_data).actor
    get_slot_0 = world.send_as(0, Address.id(contract), 5, encode([b""]))
    assert get_slot_0.return_data == encode(bytes(masked_id(world.id_of(KEY_ACCOUNT))))


@pytest.mark.parametrize(("method", "params"), [(CREATE_METHOD, [b"", 0]), (CREATE2_METHOD, [b"", bytes(32)])])
def test_create_and_create2_are_for_contracts(world: World, method: int, params: list[object]) -> None:
    for sender in (KEY_ACCOUNT, ETH_ACCOUNT):
        assert world.send(EAM, method, encode(params), sender=sender).exit_code == 18


def test_create_external_is_for_accounts_that_sign(world: World) -> None:
    contract_at(world, bytes([0x5A]) * 20)
    for sender in (CREATOR, 0, 1):
        assert world.send_as(sender, EAM, CREATE_EXTERNAL_METHOD, encode(b"")).exit_code == 18


@pytest.mark.parametrize("salt", [bytes(31), bytes(33), b""])
def test_a_salt_has_32_bytes(world: World, salt: bytes) -> None:
    contract_at(world, bytes([0x5A]) * 20)
    assert world.send_as(CREATOR, EAM, CREATE2_METHOD, encode([b"", salt])).exit_code == 21


def test_a_live_contract_is_not_deployed_over(world: World) -> None:
    contract_at(world, bytes([0x5A]) * 20)
    params = encode([b"", bytes(32)])
    deployed(world, CREATE2_METHOD, params)
    assert world.send_as(CREATOR, EAM, CREATE2_METHOD, params).exit_code == 18


def test_value_reaches_the_new_contract(world: World) -> None:
    result = world.send(EAM, CREATE_EXTERNAL_METHOD, encode(b""), value=9, sender=ETH_ACCOUNT)
    created = CreateReturn.decode(result.return_data)
    assert world.balance_of(to_filecoin(created.eth_address)) == 9


def test_a_constructor_that_breaks_off_is_reported_as_23(world: World) -> None:
    """Reading memory at 600 MiB exits the contract with 4; neither Init nor the EAM may use that code."""
    read_at_600_mib = bytes.fromhex("632580000051")  # PUSH4 0x25800000 MLOAD
    result = world.send(EAM, CREATE_EXTERNAL_METHOD, encode(read_at_600_mib), sender=ETH_ACCOUNT)
    assert result.exit_code == 23


def test_a_constructor_that_reverts_is_reported_with_its_data(world: World) -> None:
    revert_with_one_byte = bytes.fromhex("60ab5f5360015ffd")  # MSTORE8(0, 0xab) REVERT(0, 1)
    result = world.send(EAM, CREATE_EXTERNAL_METHOD, encode(revert_with_one_byte), sender=ETH_ACCOUNT)
    assert (result.exit_code, result.return_data) == (33, encode(b"\xab"))


def test_evm_marker_run_natively_aborts_with_a_message(world: World) -> None:
    """The module runs under another code CID, since a marked one would run in the EVM runtime."""
    contract = world.machine.manifest.code("evm")
    unmarked = world.machine.store.get(contract).replace(b"hypervisor.runtime", b"some other section")
    code = world.machine.install(unmarked)
    assert code != contract
    actor = ActorID(700)
    world.machine.state_tree.set_actor(actor, ActorState(code))
    result = world.send(Address.id(actor), 1 << 24)
    assert result.exit_code == 24
    assert "EVM runtime" in result.message
