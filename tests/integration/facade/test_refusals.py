"""Errors of the facade: rejected calls, and calls that it passes on."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.abi.abi import ContractInterface
from bridge.actors.facade import INTERFACES as NAMES
from bridge.actors.facade import facade
from bridge.actors.facade_runtime import enable_facade
from bridge.ethereum.addresses import masked_id
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params, invoke_return
from hypervisor import Address, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.exit_codes import ExitCode
from hypervisor.types import Gas
from tests.conftest import data_file, samples
from tests.hypervisor.builtin_actors.people import ALICE, BOB, ETHEL, GENESIS
from tests.integration.facade.scene import FOLDER, INTERFACES, multisig, relayed, selector, words
from tests.integration.filecoin_solidity.compare import _actors
from tests.integration.filecoin_solidity.stage import Stage

DATACAP, POWER = masked_id(7), masked_id(4)
BALANCE, BURN = selector("datacap", "balance"), selector("datacap", "burn")
RAW_POWER = selector("storagepower", "minerRawPower")


ADDRESS_OF_BOB = words(0x20, 0x20, 21) + BOB.to_bytes().ljust(32, b"\0")
REFUSED = {
    "an unknown selector": (b"\xde\xad\xbe\xef", "UnknownFunction(7, 0xdeadbeef)"),
    "less than a selector": (b"\x06\xfd", "UnknownFunction(7, 0x06fd0000)"),
    "no arguments": (BALANCE, 'BadCalldata(4, "the head is truncated")'),
    "half a word": (BALANCE + bytes(16), 'BadCalldata(4, "the head is truncated")'),
    "a cut length": (BALANCE + words(0x20, 0x20), 'BadCalldata(68, "the length is truncated")'),
    "cut bytes": (BALANCE + words(0x20, 0x20, 21), 'BadCalldata(68, "the length exceeds the data")'),
    "a length beyond all": (
        BALANCE + words(0x20, 0x20, 2**256 - 1) + bytes(32),
        'BadCalldata(68, "the length exceeds the data")',
    ),
    "bytes behind": (BALANCE + ADDRESS_OF_BOB + b"\0", 'BadCalldata(132, "trailing bytes after the last value")'),
    "a word behind": (BALANCE + ADDRESS_OF_BOB + words(0), 'BadCalldata(132, "trailing bytes after the last value")'),
    "a gap": (
        BALANCE + words(0x40, 0, 0x20, 21) + BOB.to_bytes().ljust(32, b"\0"),
        'BadCalldata(4, "the offset is not the end of the previous tail")',
    ),
    "an offset that is no multiple of a word": (
        BALANCE + words(0x21, 0x20, 21) + BOB.to_bytes().ljust(32, b"\0"),
        'BadCalldata(4, "the offset is not the end of the previous tail")',
    ),
    "padding": (
        BALANCE + words(0x20, 0x20, 21) + BOB.to_bytes().ljust(32, b"\1"),
        'BadCalldata(121, "the padding is not zero")',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_non_canonical_calldata_reverts_with_typed_error(stage: Stage, case: str) -> None:
    data, error = REFUSED[case]
    before = _actors(stage)
    assert relayed(stage, "call", DATACAP, data, 0) == (False, error)
    assert relayed(stage, "look", DATACAP, data) == (False, error)
    assert _actors(stage) == before


def test_a_number_too_large_for_its_type_is_refused(stage: Stage) -> None:
    assert relayed(stage, "call", POWER, RAW_POWER + words(2**64), 0) == (
        False,
        'BadCalldata(4, "the number exceeds 64 bits")',
    )
    threshold = selector("multisig", "changeNumApprovalsThreshold")
    wallet = masked_id(multisig(stage, ETHEL, ALICE))
    for number in (2**64, -(2**64) - 1):
        succeeded, error = relayed(stage, "call", wallet, threshold + words(number), 0)
        assert (succeeded, error) == (False, 'BadCalldata(4, "the number exceeds the range of CBOR integers")')


def test_an_address_that_is_none_is_the_actor_s_to_refuse(stage: Stage) -> None:
    data = BALANCE + words(0x20, 0x20, 3) + b"\x09no".ljust(32, b"\0")
    number = facade("datacap")[BALANCE].method
    assert relayed(stage, "call", DATACAP, data, 0) == (False, f"ActorError(7, {number}, 21, 0x)")


def test_value_is_for_payable_functions_only(stage: Stage) -> None:
    before = _actors(stage)
    succeeded, error = relayed(stage, "call", DATACAP, BALANCE + ADDRESS_OF_BOB, 5)
    assert (succeeded, error) == (False, f"NotPayable(7, 0x{BALANCE.hex()})")
    assert _actors(stage) == before


def test_a_static_call_cannot_change_an_actor(stage: Stage) -> None:
    before = _actors(stage)
    succeeded, error = relayed(stage, "look", DATACAP, BURN + words(10**18))
    assert not succeeded
    assert error.startswith("ActorError(7, ")
    assert _actors(stage) == before
    assert relayed(stage, "look", DATACAP, BALANCE + ADDRESS_OF_BOB)[0]


def test_a_delegate_call_of_an_actor_fails_as_on_the_network(stage: Stage) -> None:
    assert relayed(stage, "borrow", DATACAP, BALANCE + ADDRESS_OF_BOB) == (False, "none")


def test_call_to_missing_actor_succeeds_with_empty_result(stage: Stage) -> None:
    assert relayed(stage, "call", masked_id(999_999), BALANCE + ADDRESS_OF_BOB, 0) == (True, "")


def test_placeholder_at_forged_masked_id_is_never_called(stage: Stage) -> None:
    forged = Address.delegated(10, masked_id(7))
    stage.send(forged, 0, value=1)  # the network lets a placeholder come into being there
    placeholder = stage.id_of(forged)
    assert placeholder != 7
    before = stage.machine.actor(forged)
    assert relayed(stage, "call", DATACAP, BALANCE + ADDRESS_OF_BOB, 0)[0]
    assert relayed(stage, "call", masked_id(placeholder), BALANCE + ADDRESS_OF_BOB, 0) == (True, "")
    assert stage.machine.actor(forged) == before


def test_accounts_and_contracts_take_calldata_as_ever(stage: Stage, typed: tuple[Address, ContractInterface]) -> None:
    assert relayed(stage, "call", masked_id(stage.id_of(BOB)), b"hello", 0) == (True, "")
    assert relayed(stage, "call", masked_id(stage.id_of(ETHEL)), b"hello", 0) == (True, "")
    calldata = typed[1].encode_call("addresses", 7, "0x" + "00" * 20)
    succeeded, result = relayed(stage, "call", masked_id(stage.id_of(typed[0])), calldata, 0)
    assert succeeded
    assert result.startswith(masked_id(7).rjust(32, b"\0").hex())


def test_call_without_data_matches_network(stage: Stage) -> None:
    assert relayed(stage, "call", DATACAP, b"", 0) == (False, "none")  # exit 22
    assert relayed(stage, "call", masked_id(multisig(stage, ETHEL, ALICE)), b"", 0) == (True, "")


def test_facade_is_unavailable_without_switch() -> None:
    with_out = Stage(Bundle.embedded(), FOLDER / "compiled")
    calldata = invoke_params(BALANCE + ADDRESS_OF_BOB)
    result = with_out.apply(Address.id(7), INVOKE_EVM, calldata, 0, ETHEL)
    assert result.exit_code == ExitCode.USR_UNHANDLED_MESSAGE
    with_out.machine.close()


def test_every_actor_with_methods_for_contracts_has_an_interface() -> None:
    assert set(NAMES) < set(ACTOR_NAMES)
    assert {actor for actor in ACTOR_NAMES if facade(actor)} == set(NAMES)


@given(st.data())
@settings(max_examples=samples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_contract_calldata_succeeds_or_changes_nothing(stage: Stage, data: st.DataObject) -> None:
    actor = data.draw(st.sampled_from(["datacap", "storagemarket", "storagepower", "verifiedregistry"]))
    function = data.draw(st.sampled_from(sorted(facade(actor).values(), key=lambda one: one.name)))
    numbers = st.sampled_from([0, 1, 2, 32, 64, 96, 2**63, 2**64, 2**255, 2**256 - 1])
    tail = words(*data.draw(st.lists(numbers, max_size=8))) + data.draw(st.binary(max_size=40))
    value = data.draw(st.sampled_from([0, 0, 1]))
    target = masked_id({"datacap": 7, "storagemarket": 5, "storagepower": 4, "verifiedregistry": 6}[actor])
    before, snapshot = _actors(stage), stage.machine.snapshot()
    succeeded, _ = relayed(stage, "call", target, function.selector + tail, value)
    if not succeeded:
        assert _actors(stage) == before
    stage.machine.restore(snapshot)


@pytest.mark.slow
def test_method_missing_in_older_actor_reports_exit_22() -> None:
    power = ContractInterface(json.loads((INTERFACES / "IPower.json").read_text()))
    bundle = Bundle.open(data_file("bundles/v10-mainnet.car"))
    with Hypervisor.open(bundle=bundle, genesis=GENESIS, network=18) as machine:
        enable_facade(machine)

        def ask_power(name: str, *arguments: Any) -> bytes:
            calldata = invoke_params(power.encode_call(name, *arguments))
            asked = Message(Address.id(4), ALICE, method=INVOKE_EVM, params=calldata, gas_limit=Gas(10**12))
            return invoke_return(machine.call(asked).return_data)

        assert power.decode_result("minerCount", ask_power("minerCount")) == 0
        number = facade("storagepower")[selector("storagepower", "minerPower")].method
        assert power.decode_revert(ask_power("minerPower", 100)) == f"ActorError(4, {number}, 22, 0x)"
