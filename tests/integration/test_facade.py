"""Every method by its Solidity interface, compared with the native call; contracts and wallets that use interfaces."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode

from bridge.abi.abi import ContractInterface
from bridge.actors.facade import INTERFACES as NAMES
from bridge.actors.facade import FacadeFunction, facade
from bridge.ethereum.addresses import masked_id
from bridge.filecoin.parameters import INVOKE_EVM, invoke_params, invoke_return
from hypervisor import Address
from hypervisor.exit_codes import ExitCode
from hypervisor.machine.executor import ApplyResult
from hypervisor.types import INIT_ACTOR, ActorID
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, ETHEL, amount, packed, raw, signature
from tests.integration.facade.scene import ERRORS, FOLDER, INTERFACES, RELAY, ask, multisig
from tests.integration.filecoin_solidity.cases import Case, cases
from tests.integration.filecoin_solidity.compare import _actors
from tests.integration.filecoin_solidity.stage import Stage

DEAL = 0


def test_the_compiled_contracts_are_those_of_the_sources() -> None:
    for name in ("Relay", "Typed"):
        listed = json.loads((FOLDER / "compiled" / f"{name}.json").read_text())["sources"]
        sources = [*INTERFACES.glob("*.sol"), *FOLDER.glob("*.sol")]
        assert listed == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}


@pytest.mark.long
def test_interface_abis_match_solc_output() -> None:
    script = Path(__file__).parents[2] / "scripts" / "clients"
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
    """Return the same values as ABI words; `tests/bridge/abi/test_strict_abi.py` compares these with eth-abi."""
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
