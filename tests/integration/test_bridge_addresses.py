"""Actors with several addresses: views of contracts before and after an actor exists, with either runner.

The expected results are those of the official EVM actor with the same contracts and bundle.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.ethereum.addresses import (
    EthAddress,
    create2_address,
    create_address,
    eth_address,
    from_delegated,
    masked_id,
    to_ethereum,
    to_filecoin,
    unmask_id,
)
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD
from hypervisor import Address, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.messages.signatures import secp256k1_public_key
from hypervisor.types import EAM_ACTOR, MARKET_ACTOR, Gas, MethodNumber, TokenAmount
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from store.codec import decode
from store.keccak import keccak
from tests.conftest import bundle_file, evms, samples
from tests.differential.comparison import BUNDLE
from tests.runtimes.evm.assembler import assemble, deployer

SENDER: Final = EthAddress(bytes.fromhex("e01e2bdd4f9a789002da086a6445ca6481c6864c"))
ASK, WHO, LOOK, MAKE = (EthAddress(bytes([0xC0 + number]) * 20) for number in range(4))
CODES: Final[Mapping[EthAddress, str]] = {
    ASK: """32 CALLDATASIZE SUB 32 0 CALLDATACOPY 0 0 32 CALLDATASIZE SUB 0 CALLVALUE 0 CALLDATALOAD GAS CALL 0 MSTORE
        RETURNDATASIZE 0 32 RETURNDATACOPY 32 RETURNDATASIZE ADD 0 RETURN ; calls who is named in the first word""",
    WHO: """ADDRESS 0 MSTORE CALLER 32 MSTORE 1 0 SLOAD ADD DUP1 0 SSTORE 64 MSTORE SELFBALANCE 96 MSTORE
        128 0 RETURN""",
    LOOK: """0 CALLDATALOAD BALANCE 0 MSTORE 0 CALLDATALOAD EXTCODESIZE 32 MSTORE 0 CALLDATALOAD EXTCODEHASH 64 MSTORE
        96 0 RETURN""",
    MAKE: """CALLDATASIZE 0 0 CALLDATACOPY CALLDATASIZE 0 0 CREATE 7 CALLDATASIZE 0 0 CREATE2
        0 MSTORE 32 MSTORE 64 0 RETURN""",
}
RESOLVE, DELEGATED = (EthAddress(b"\xfe" + bytes(18) + bytes([number])) for number in (1, 2))
FAILED, NOTHING = (0, b""), (1, b"")
KEY_ACCOUNT = Address.secp256k1(secp256k1_public_key(bytes(31) + b"\x05"))
NOBODY: Final = EthAddress(bytes(19) + b"\x77")
NO_HASH, EMPTY_HASH = bytes(32), keccak(b"")


class AddressMachine:
    def __init__(self, evm: str) -> None:
        self.machine = Hypervisor.open(bundle=Bundle.open(bundle_file(BUNDLE)), evm=evm)
        accounts = {
            SENDER: AllocAccount(10**24, 0),
            **{at: AllocAccount(0, 1, assemble(code)) for at, code in CODES.items()},
        }
        install_alloc(self.machine, accounts)
        self._start = self.machine.snapshot()

    def again(self) -> "AddressMachine":
        self.machine.restore(self._start)
        return self

    def send(self, to: Address, data: bytes = b"", value: int = 0, method: int = INVOKE_EVM) -> ApplyResult:
        sender = self.machine.actor(to_filecoin(SENDER))
        assert sender is not None
        params = byte_string(data) if data else b""
        message = Message(
            to, to_filecoin(SENDER), sender.nonce, TokenAmount(value), MethodNumber(method), params, gas_limit=GAS_LIMIT
        )
        return self.machine.apply(message)

    def call(self, to: EthAddress, data: bytes = b"", value: int = 0) -> bytes:
        result = self.send(to_filecoin(to), data, value)
        assert result.exit_code == ExitCode.OK, result.message
        answer: bytes = decode(result.return_data)
        return answer

    def ask(self, whom: EthAddress, data: bytes, value: int = 0) -> tuple[int, bytes]:
        """Return whether a contract's call succeeds, and its data."""
        result = self.call(ASK, word(whom) + data, value)
        return int.from_bytes(result[:32], "big"), result[32:]

    def resolve(self, address: Address) -> int | None:
        success, response = self.ask(RESOLVE, address.to_bytes())
        assert success
        return int.from_bytes(response, "big") if response else None

    def delegated(self, actor: int) -> bytes:
        """Return the delegated address according to the precompile."""
        success, response = self.ask(DELEGATED, actor.to_bytes(32, "big"))
        assert success
        return response

    def inspect(self, address: EthAddress) -> tuple[int, int, bytes]:
        """Return balance, code size and code hash of an address."""
        result = self.call(LOOK, word(address))
        return int.from_bytes(result[:32], "big"), int.from_bytes(result[32:64], "big"), result[64:]


GAS_LIMIT: Final = Gas(10**9)


def word(address: bytes) -> bytes:
    return bytes(12) + address


@pytest.fixture(scope="module", params=evms())
def opened(request: pytest.FixtureRequest) -> Iterator[AddressMachine]:
    place = AddressMachine(request.param)
    yield place
    place.machine.close()


@pytest.fixture
def place(opened: AddressMachine) -> AddressMachine:
    return opened.again()


# --- before and after ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [to_filecoin(NOBODY), KEY_ACCOUNT], ids=["f410", "f1"])
def test_bridge_addresses_resolve_from_the_first_money_on(place: AddressMachine, address: Address) -> None:
    assert place.resolve(address) is None
    assert place.send(address, value=5, method=0).exit_code == ExitCode.OK
    actor = place.machine.state_tree.lookup_id(address)
    assert actor is not None
    assert place.resolve(address) == actor
    assert place.delegated(actor) == (address.to_bytes() if address == to_filecoin(NOBODY) else b"")
    assert place.inspect(masked_id(actor)) == (5, 0, EMPTY_HASH)


def test_bridge_addresses_of_new_contracts_match_prediction(place: AddressMachine) -> None:
    runtime = assemble(CODES[WHO])
    code = deployer(runtime)
    predicted = (create2_address(MAKE, (7).to_bytes(32, "big"), code), create_address(MAKE, 1))
    for address in predicted:
        assert place.resolve(to_filecoin(address)) is None
        assert place.inspect(address) == (0, 0, NO_HASH)
    result = place.call(MAKE, code)
    assert (result[12:32], result[44:64]) == predicted
    for address in predicted:
        actor = place.resolve(to_filecoin(address))
        assert actor is not None
        assert place.delegated(actor) == to_filecoin(address).to_bytes()
        assert place.inspect(address) == place.inspect(masked_id(actor)) == (0, len(runtime), keccak(runtime))


def test_bridge_address_of_contract_keeps_prior_balance(place: AddressMachine) -> None:
    code = deployer(assemble(CODES[WHO]))
    address = create_address(MAKE, 1)
    place.send(to_filecoin(address), value=9)
    before = place.resolve(to_filecoin(address))
    assert place.inspect(address) == (9, 0, EMPTY_HASH)
    place.call(MAKE, code)
    assert place.resolve(to_filecoin(address)) == before
    assert place.inspect(address)[0] == 9
    assert place.inspect(address)[1] > 0


def test_bridge_addresses_of_ids_resolve_without_actor(place: AddressMachine) -> None:
    for actor in (0, 1, 5, 99, 77_777, 2**64 - 1):
        assert place.resolve(Address.id(actor)) == actor
        assert place.delegated(actor) == b""
    assert place.inspect(masked_id(MARKET_ACTOR)) == (0, 1, keccak(b"\xfe"))
    assert place.inspect(masked_id(77_777)) == (0, 0, NO_HASH)
    assert place.ask(masked_id(77_777), b"anything") == NOTHING


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"\x01" + bytes(19), b"\x05" + bytes(20), b"\x03" + bytes(47), b"\x04", b"\x00" + b"\xff" * 11],
)
def test_bridge_addresses_that_are_none_fail(place: AddressMachine, data: bytes) -> None:
    assert place.ask(RESOLVE, data) == FAILED


def test_bridge_addresses_of_out_of_range_ids_are_rejected(place: AddressMachine) -> None:
    assert place.ask(DELEGATED, (2**64).to_bytes(32, "big")) == FAILED
    assert place.ask(DELEGATED, b"\xff" * 32) == FAILED


# --- one actor under two addresses --------------------------------------------------------------------------------


def test_bridge_addresses_of_one_contract_reach_same_f410_actor(place: AddressMachine) -> None:
    actor = place.resolve(to_filecoin(WHO))
    assert actor is not None
    by_sender = [place.call(address, value=3) for address in (WHO, masked_id(actor))]
    by_contract = [place.ask(address, b"", value=3)[1] for address in (WHO, masked_id(actor))]
    for count, (result, caller) in enumerate(zip(by_sender + by_contract, [SENDER] * 2 + [ASK] * 2, strict=True), 1):
        expected = word(WHO) + word(caller) + count.to_bytes(32, "big") + (3 * count).to_bytes(32, "big")
        assert result == expected
    assert place.inspect(WHO) == place.inspect(masked_id(actor))


def test_bridge_address_of_account_without_f410_is_masked_id(place: AddressMachine) -> None:
    place.send(KEY_ACCOUNT, value=10**18, method=0)
    actor = place.machine.state_tree.lookup_id(KEY_ACCOUNT)
    assert actor is not None
    message = Message(
        to_filecoin(WHO), KEY_ACCOUNT, 0, TokenAmount(0), MethodNumber(INVOKE_EVM), b"", gas_limit=GAS_LIMIT
    )
    result: bytes = decode(place.machine.apply(message).return_data)
    assert result[32:64] == word(masked_id(actor))


def test_bridge_f410_with_masked_payload_is_distinct_actor(place: AddressMachine) -> None:
    """f410 with the payload ff..05 is not f05: a send creates a placeholder, which is seen under its own ID."""
    forged = Address.delegated(10, masked_id(MARKET_ACTOR))
    assert place.resolve(forged) is None
    assert place.send(forged, value=5, method=0).exit_code == ExitCode.OK
    actor = place.resolve(forged)
    assert actor not in (None, MARKET_ACTOR)
    assert place.delegated(actor or 0) == forged.to_bytes()
    assert from_delegated(forged) is None
    assert place.inspect(masked_id(actor or 0))[0] == 5
    assert place.inspect(masked_id(MARKET_ACTOR))[0] == 0


def test_bridge_addresses_of_the_other_side_name_another_actor(place: AddressMachine) -> None:
    """The masked ID of an actor, wrapped as f410 by a contract, does not reach the actor."""
    actor = place.resolve(to_filecoin(WHO))
    assert actor is not None
    success, response = place.ask(RESOLVE, b"\x04\x0a" + masked_id(actor))
    assert (success, response) == NOTHING
    assert place.resolve(Address.delegated(10, WHO)) == actor
    assert place.resolve(Address.delegated(11, WHO)) is None


@pytest.mark.parametrize("number", [1, 5, 6, 17])
def test_bridge_precompile_addresses_hold_balance_like_accounts(place: AddressMachine, number: int) -> None:
    precompile = EthAddress(b"\xfe" + bytes(18) + bytes([number]))
    place.send(to_filecoin(precompile), value=4, method=0)
    assert place.inspect(precompile)[0] == 4
    assert place.resolve(to_filecoin(WHO)) == place.machine.state_tree.lookup_id(to_filecoin(WHO))


# --- for all addresses --------------------------------------------------------------------------------------------

addresses = st.one_of(
    st.binary(min_size=20, max_size=20),
    st.integers(0, 200).map(masked_id),
    st.binary(min_size=8, max_size=8).map(lambda tail: b"\xff" + bytes(11) + tail),
    st.binary(min_size=11, max_size=11).map(lambda middle: b"\xff" + middle + bytes(8)),
    st.integers(0, 20).map(lambda number: b"\xfe" + bytes(18) + bytes([number])),
).map(EthAddress)


@settings(max_examples=samples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(addresses, min_size=1, max_size=8, unique=True))
def test_bridge_addresses_match_actors_after_any_payments(place: AddressMachine, paid: list[EthAddress]) -> None:
    place = place.again()
    for address in paid:
        place.send(to_filecoin(address), value=1, method=0)
    tree = place.machine.state_tree
    tree.flush()
    known = {actor: state.delegated_address for actor, state in tree.actors()}
    seen = {to_ethereum(actor, delegated): actor for actor, delegated in known.items()}
    assert len(seen) == len(known), "two actors under one address"
    for address, actor in seen.items():
        assert tree.lookup_id(to_filecoin(address)) == actor
        assert eth_address(address) == address
    for address in paid:
        there = tree.lookup_id(to_filecoin(address))
        balance, _, code_hash = place.inspect(address)
        assert place.resolve(to_filecoin(address)) == there
        if there is None or there not in known:
            assert (balance, code_hash) == (0, NO_HASH)
        else:
            assert balance >= 1
            assert place.inspect(masked_id(there))[0] == balance


def test_bridge_addresses_from_create_external_use_message_nonce(place: AddressMachine) -> None:
    sender = place.machine.actor(to_filecoin(SENDER))
    assert sender is not None
    result = place.send(Address.id(EAM_ACTOR), deployer(assemble(CODES[WHO])), method=CREATE_EXTERNAL_METHOD)
    assert result.exit_code == ExitCode.OK
    created = EthAddress(decode(result.return_data)[2])
    assert created == create_address(SENDER, sender.nonce)
    assert unmask_id(created) is None
