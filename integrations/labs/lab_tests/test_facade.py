"""The facade of built-in actors on a machine.

- A machine with the facade and the state that methods need, and helpers of the facade tests.
- Machines of the facade tests, for each of our bundles and each runner of contracts.
- Every method by its Solidity interface, compared with the native call; contracts and wallets that use interfaces.
- Errors of the facade: rejected calls, and calls that it passes on.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.abi.abi import ContractInterface
from bridge.actors.exported_methods import INTERFACES as NAMES
from bridge.ethereum.addresses import masked_id, to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn, invoke_params, invoke_return
from hypervisor import Address, Hypervisor, Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import EAM_ACTOR, INIT_ACTOR, ActorID, Gas
from hypervisor_labs.facade import FacadeFunction, facade
from hypervisor_labs.facade_runtime import enable_facade
from store.codec import decode, encode, link
from tests.conftest import data_file, kinds, samples
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, ETHEL, GENESIS, amount, packed, raw, signature
from tests.integration.filecoin_solidity import compare
from tests.integration.filecoin_solidity.cases import APIS, Case, Stage, cases
from tests.integration.filecoin_solidity.compare import _actors

FOLDER = Path(__file__).parent / "facade"
INTERFACES = Path(__file__).parents[3] / "bridge" / "solidity"
RELAY = ContractInterface(json.loads((FOLDER / "compiled" / "Relay.json").read_text())["abi"])
ERRORS = ContractInterface(json.loads((INTERFACES / "IDatacap.json").read_text()))


def ask(stage: Stage, typed: tuple[Address, ContractInterface], name: str, *arguments: Any, value: int = 0) -> Any:
    """Return the result of a function of `Typed`, called by ETHEL."""
    address, interface = typed
    calldata = interface.encode_call(name, *arguments)
    result = stage.apply(address, INVOKE_EVM, invoke_params(calldata), value, ETHEL)
    assert result.exit_code == ExitCode.OK, result.message
    return interface.decode_result(name, invoke_return(result.return_data))


def multisig(stage: Stage, *signers: Address) -> int:
    """Create a multisig with a threshold of two."""
    code = stage.machine.manifest.code("multisig")
    constructor = packed([raw(signer) for signer in signers], 2, 0, 0)
    created, _ = stage.send(Address.id(INIT_ACTOR), 2, packed(link(code), constructor), 10**9)
    return int(stage.id_of(Address.from_bytes(created)))


def relayed(stage: Stage, function: str, target: bytes, data: bytes, value: int | None = None) -> tuple[bool, str]:
    """Call through a Relay; return True and the result in hex, or False and the revert data as text."""
    given = () if value is None else (value,)
    call = RELAY.encode_call(function, "0x" + target.hex(), data, *given)
    result = stage.apply(stage.address("SendAPI"), INVOKE_EVM, invoke_params(call), 0, ETHEL)
    assert result.exit_code == ExitCode.OK, result.message
    succeeded, returned = RELAY.decode_result(function, invoke_return(result.return_data))
    return succeeded, returned.hex() if succeeded else ERRORS.decode_revert(returned)


def selector(actor: str, name: str) -> bytes:
    return next(key for key, function in facade(actor).items() if function.name == name)


def words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)


@pytest.fixture(scope="module", params=kinds("its EVM actor"))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a machine with miners, deals and claims, on which every caller is a Relay, and the facade is on."""
    bundle = Bundle.embedded() if request.param == "own" else Bundle.open(data_file(compare.OFFICIAL))
    artifacts = tmp_path_factory.mktemp("relays")
    for api in APIS:
        (artifacts / f"{api}.json").write_text((FOLDER / "compiled" / "Relay.json").read_text())
    ready = Stage(bundle, artifacts, "official" if request.param == "its EVM actor" else "py-evm")
    enable_facade(ready.machine)
    yield ready
    ready.machine.close()


@pytest.fixture(scope="module")
def typed(stage: Stage) -> tuple[Address, ContractInterface]:
    """Deploy `Typed`."""
    artifact = json.loads((FOLDER / "compiled" / "Typed.json").read_text())
    code = encode(bytes.fromhex(artifact["bytecode"].removeprefix("0x")))
    created = stage.apply(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, code, 0, ETHEL)
    assert created.exit_code == ExitCode.OK, created.message
    address = to_filecoin(CreateReturn.decode(created.return_data).eth_address)
    return address, ContractInterface(artifact["abi"])


DEAL = 0


def test_the_compiled_contracts_are_those_of_the_sources() -> None:
    for name in ("Relay", "Typed"):
        listed = json.loads((FOLDER / "compiled" / f"{name}.json").read_text())["sources"]
        sources = [*INTERFACES.glob("*.sol"), *FOLDER.glob("*.sol")]
        assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}


@pytest.mark.long
def test_interface_abis_match_solc_output() -> None:
    script = Path(__file__).parents[3] / "scripts" / "clients"
    clients = subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip()
    command: list[str | Path] = ["node", FOLDER / "compile.mjs", "--check-abi"]
    assert subprocess.run(command, env=os.environ | {"CLIENTS": clients}, check=False).returncode == 0


# --- every method, both ways ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_solidity_library_cases_match_through_facade(stage: Stage) -> None:
    ended: dict[str, set[int]] = {}
    for case in cases(stage):
        if (function := _function_of(stage, case)) is not None:
            exit_code = _same_both_ways(stage, case, function)
            ended.setdefault(f"{NAMES[function.actor]}.{function.name}", set()).add(exit_code)
    assert len(ended) >= 45
    assert sum(0 in codes for codes in ended.values()) >= 45
    assert sum(codes != {0} for codes in ended.values()) >= 35


def _function_of(stage: Stage, case: Case) -> FacadeFunction | None:
    """Return the function for a case's native call; None for a send, an unknown method or a missing actor."""
    if case.native is None:
        return None
    actor = stage.machine.actor(case.native.to)
    name = None if actor is None else stage.machine.manifest.name_of(actor.code)
    found = [function for function in facade(name or "").values() if function.method == case.native.method]
    if not found or not _is_formed(found[0], case.native.params):
        return None
    return found[0]


def _is_formed(function: FacadeFunction, params: bytes) -> bool:
    """Return True if the parameters can be expressed in Solidity: invalid ones cannot."""
    try:
        _calldata(function, params)
    except ValueError:
        return False
    return True


def _calldata(function: FacadeFunction, params: bytes) -> bytes:
    """Return the same values as ABI words; `tests/bridge/test_abi.py` compares these with eth-abi."""
    values = decode(params) if params else []
    values = values if function.takes_tuple or not params else [values]
    return function.selector + function.arguments.write(values)


def _same_both_ways(stage: Stage, case: Case, function: FacadeFunction) -> int:
    native = case.native
    assert native is not None
    before, context = stage.machine.snapshot(), stage.machine.context
    caller = stage.callers[case.by]
    try:
        if case.before is not None:
            case.before(stage)
        prepared = stage.machine.snapshot()
        target = stage.id_of(native.to)
        calldata = _calldata(function, native.params)
        call = RELAY.encode_call("call", "0x" + masked_id(target).hex(), calldata, native.value)
        result = stage.apply(caller.address, INVOKE_EVM, invoke_params(call), 0, ETHEL)
        assert result.exit_code == ExitCode.OK, result.message
        succeeded, returned = RELAY.decode_result("call", invoke_return(result.return_data))
        through = _actors(stage)
        stage.machine.restore(prepared)
        direct = stage.implicit(caller.id, native.to, native.method, native.params, native.value)
        assert succeeded == (direct.exit_code == ExitCode.OK), (case, returned)
        _compare_answers(case, function, target, returned, direct)
        left = _actors(stage)
        if case.new_actor:
            through.pop(ActorID(INIT_ACTOR)), left.pop(ActorID(INIT_ACTOR))
        assert through == left, case
        assert result.events == direct.events
        return int(direct.exit_code)
    finally:
        stage.machine.context = context
        stage.machine.restore(before)


def _compare_answers(case: Case, function: FacadeFunction, target: int, returned: bytes, direct: ApplyResult) -> None:
    if direct.exit_code == ExitCode.SYS_INSUFFICIENT_FUNDS:
        assert returned == b""  # the machine refuses the call, and there is nobody to say why
        return
    if direct.exit_code != ExitCode.OK:
        error = abi_encode(
            ["uint64", "uint64", "uint32", "bytes"],
            [target, function.method, int(direct.exit_code), direct.return_data],
        )
        assert returned[4:] == error
        return
    values = abi_decode([part.coder.name for _, part in function.outputs], returned)
    result = decode(direct.return_data) if direct.return_data else []
    expected = result if function.returns_tuple or not direct.return_data else [result]
    if case.new_actor:
        values, expected = values[:1], expected[:1]
    pairs = zip(expected, values, strict=False)
    assert [_plain(value) for value in values] == [_of_cbor(value, like) for value, like in pairs], case


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _of_cbor(value: Any, like: Any) -> Any:
    """Return a CBOR value in the form of the corresponding ABI value."""
    if isinstance(like, tuple) and len(like) == 1 and isinstance(like[0], bytes):  # FilAddress, Cid
        return [value if isinstance(value, bytes) else value.value[1:]]
    if isinstance(like, tuple) and len(like) == 2 and isinstance(value, str | bytes):  # a label
        return [[value], []] if isinstance(value, str) else [[], [value]]
    if isinstance(like, tuple) and value is None:
        return []
    if isinstance(like, tuple) and isinstance(value, list):
        if len(value) != len(like):  # an optional one
            return [_of_cbor(value, like[0])]
        return [_of_cbor(item, part) for item, part in zip(value, like, strict=True)]
    if isinstance(like, tuple):
        return [_of_cbor(value, part) for part in like]
    if isinstance(like, int) and isinstance(value, bytes):
        magnitude = int.from_bytes(value[1:], "big")
        return -magnitude if value[:1] == b"\x01" else magnitude
    return value


# --- contracts that solc compiled against the interfaces ------------------------------------------------------------


def test_a_contract_reads_and_changes_the_token_of_datacap(
    stage: Stage, typed: tuple[Address, ContractInterface]
) -> None:
    supply = decode(stage.implicit(100, Address.id(7), 114981429).return_data)
    assert ask(stage, typed, "token") == ("DataCap", "DCAP", int.from_bytes(supply, "big"), 10**18)
    bob = "0x" + masked_id(stage.id_of(BOB)).hex()
    assert ask(stage, typed, "allow", bob, 5 * 10**18) == 5 * 10**18
    assert ask(stage, typed, "allow", bob, 2 * 10**18) == 7 * 10**18


def test_a_contract_pays_into_the_market_and_learns_of_deals(
    stage: Stage, typed: tuple[Address, ContractInterface]
) -> None:
    before = decode(stage.implicit(100, Address.id(5), 726108461, encode(raw(typed[0]))).return_data)
    paid = int.from_bytes(before[0], "big") + 1234
    assert ask(stage, typed, "deposit", value=1234) == (paid, 0)
    label, cid, size, start = ask(stage, typed, "deal", DEAL)
    direct = [stage.implicit(100, Address.id(5), method, encode(DEAL)) for method in (46363526, 1157985802, 163777312)]
    named, committed, term = (decode(result.return_data) for result in direct)
    assert (label, cid, size, start) == (named, committed[0].value[1:], committed[1], term[0])


def test_a_contract_learns_of_a_miner_and_of_claims(stage: Stage, typed: tuple[Address, ContractInterface]) -> None:
    owner, proposed, size, power = ask(stage, typed, "miner", stage.theirs)
    assert (owner, proposed, size, power) == (Address.id(stage.id_of(ALICE)).to_bytes(), 0, 2048, 1 << 40)
    count, refused, client, term = ask(stage, typed, "claims", stage.theirs, [1, 99])
    assert (count, refused, client) == (1, ExitCode.USR_NOT_FOUND, stage.id_of(BOB))
    assert term == 180 * 2880


def test_something_or_null_is_a_list_of_one_or_none(stage: Stage, typed: tuple[Address, ContractInterface]) -> None:
    owner = stage.id_of(typed[0])
    miner = stage._create_miner(typed[0])
    assert decode(stage.implicit(owner, Address.id(miner), 4158972569).return_data)[1] is None
    bob = Address.id(stage.id_of(BOB)).to_bytes()
    assert ask(stage, typed, "handOver", miner, (bob,), 10**18, 5000) == (bob, 10**18)


def test_account_signature_is_checked_without_code(stage: Stage, typed: tuple[Address, ContractInterface]) -> None:
    assert ask(stage, typed, "signed", stage.id_of(ALICE), signature(ALICE, b"words"), b"words") is True


def test_the_library_s_addresses_are_those_of_filecoin(stage: Stage, typed: tuple[Address, ContractInterface]) -> None:
    somebody = "0x" + "5b" * 20
    for number in (0, 7, 127, 128, 99_999, 2**64 - 1):
        masked, by_id, delegated = ask(stage, typed, "addresses", number, somebody)
        assert bytes.fromhex(masked[2:]) == masked_id(number)
        assert by_id == Address.id(ActorID(number)).to_bytes()
        assert ask(stage, typed, "addresses", 0, masked)[2] == by_id
        assert delegated == Address.delegated(10, bytes.fromhex("5b" * 20)).to_bytes()


# --- multisigs: for people's wallets ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_ethereum_wallet_proposes_and_approves_in_multisig(stage: Stage) -> None:
    wallet = multisig(stage, ETHEL, ALICE)
    interface = ContractInterface(json.loads((INTERFACES / "IMultisig.json").read_text()))

    def apply(name: str, *arguments: Any) -> ApplyResult:
        calldata = interface.encode_call(name, *arguments)
        return stage.apply(Address.id(wallet), INVOKE_EVM, invoke_params(calldata), 0, ETHEL)

    stage.send(Address.id(wallet), 2, packed(raw(CAROL), amount(7), 0, b""))
    before = stage.machine.actor(CAROL)
    approved = apply("approve", 0, b"")
    assert approved.exit_code == ExitCode.OK, approved.message
    assert interface.decode_result("approve", invoke_return(approved.return_data)) == (True, 0, b"")
    after = stage.machine.actor(CAROL)
    assert before is not None
    assert after is not None
    assert after.balance == before.balance + 7
    proposed = apply("propose", (raw(CAROL),), 5, 0, b"")
    assert interface.decode_result("propose", invoke_return(proposed.return_data)) == (1, False, 0, b"")
    again = apply("approve", 1, b"")
    error = ERRORS.decode_revert(invoke_return(again.return_data))
    assert error == f"ActorError({wallet}, 3, {int(ExitCode.USR_FORBIDDEN)}, 0x)"


def test_multisig_refusal_is_returned_to_signing_contract(
    stage: Stage, typed: tuple[Address, ContractInterface]
) -> None:
    wallet = multisig(stage, typed[0], ALICE)
    stage.send(Address.id(wallet), 2, packed(raw(CAROL), amount(7), 0, b""))
    natively = stage.implicit(stage.id_of(typed[0]), Address.id(wallet), 3, packed(0, b""))
    assert natively.exit_code == ExitCode.USR_FORBIDDEN
    assert ask(stage, typed, "approve", wallet, 0) == (wallet, 3, ExitCode.USR_FORBIDDEN)


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


@pytest.mark.slow
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
