"""The Solidity facade of built-in actors.

- Solidity functions of built-in actors, without a machine: selectors, parameters, return values.
- The facade around the native runtime: which calls pass it, and actors with invalid return values.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from eth_utils.abi import function_abi_to_4byte_selector
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from bridge.abi.abi import ContractInterface
from bridge.actors.exported_methods import INTERFACES, SMALL_NUMBERS_ONLY, exported_methods
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM, method_number
from bridge.filecoin.parameters import invoke_return
from hypervisor import Address, Genesis, Hypervisor, Message
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.registry import NATIVE, Outcome, Runtime
from hypervisor.tracing import GasCharged, TraceEvent, Tracer
from hypervisor.types import DATACAP_ACTOR, ActorID, BlockId, Gas, MethodNumber, TokenAmount
from hypervisor_labs.facade import ERRORS, FacadeFunction, FacadeRefusal, SolidityTypes, facade
from hypervisor_labs.facade_runtime import PRICE_PER_BYTE, enable_facade
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from scripts.actor_bindings.solidity import abi
from store.cid import CBOR, DAG_CBOR, RAW, Cid, cid_of
from store.codec import decode, encode, link
from tests.hypervisor.builtin_actors.people import ALICE, GENESIS
from tests.hypervisor.world import ForwardingRuntime

FOLDER = Path(__file__).parents[3] / "bridge" / "solidity"
ME = ActorID(5)


def function(actor: str, name: str) -> FacadeFunction:
    return next(found for found in facade(actor).values() if found.name == name)


def words(*numbers: int) -> bytes:
    return b"".join((number % 2**256).to_bytes(32, "big") for number in numbers)


@pytest.mark.parametrize("actor", INTERFACES)
def test_facade_selectors_match_abi_selectors_of_eth_utils(actor: str) -> None:
    abi = json.loads((FOLDER / f"{INTERFACES[actor]}.json").read_text())
    found = {function_abi_to_4byte_selector(item): item["name"] for item in abi if item["type"] == "function"}
    assert found == {selector: function.name for selector, function in facade(actor).items()}


def test_method_numbers_are_hashes_or_small() -> None:
    assert {method.number for method in exported_methods("multisig")} == set(range(2, 10))
    for actor in set(INTERFACES) - set(SMALL_NUMBERS_ONLY):
        assert all(method.number == method_number(method.name) for method in exported_methods(actor))


def test_method_params_match_handwritten_cbor() -> None:
    transfer = function("datacap", "transfer")
    to = b"\x00\x63"
    calldata = (
        transfer.selector
        + words(0x60, -1, 0xC0, 0x20, 2)
        + to.ljust(32, b"\0")
        + words(3)
        + b"\xa1\xb2\xc3".ljust(32, b"\0")
    )
    # [h'0063', h'0101' (minus one), h'a1b2c3']
    assert transfer.params(calldata) == bytes.fromhex("8342006342010143a1b2c3")


def test_a_single_parameter_stands_bare() -> None:
    deal = function("storagemarket", "getDealClient")
    assert deal.params(deal.selector + words(300)) == bytes.fromhex("19012c")
    assert deal.encode_return(ME, bytes.fromhex("1903e8")) == words(1000)


def test_a_method_without_parameters_is_called_without_any() -> None:
    assert function("datacap", "name").params(function("datacap", "name").selector) == b""


def test_null_and_choices_are_lists() -> None:
    owner = function("storageminer", "getOwner")
    assert owner.encode_return(ME, bytes.fromhex("82 42 0064 f6")) == words(0x40, 0xA0, 0x20, 2) + b"\0\x64".ljust(
        32, b"\0"
    ) + words(0)
    label = function("storagemarket", "getDealLabel")
    text, blob = label.encode_return(ME, encode("é")), label.encode_return(ME, encode(b"\xff"))
    assert text == words(0x20, 0x40, 0xC0, 1, 0x20, 2) + "é".encode().ljust(32, b"\0") + words(0)
    assert blob == words(0x20, 0x40, 0x60, 0, 1, 0x20, 1) + b"\xff".ljust(32, b"\0")


def test_a_cid_is_its_bytes_without_the_zero() -> None:
    commitment = function("storagemarket", "getDealDataCommitment")
    cid = cid_of(b"piece", CBOR)
    result = commitment.encode_return(ME, encode([link(cid), 2048]))
    assert result == words(0x40, 2048, 0x20, len(cid)) + cid.ljust(64, b"\0")


BAD_ANSWERS: dict[str, tuple[str, str, bytes | None]] = {
    "none at all": ("storagemarket", "getBalance", None),
    "one where nothing is answered": ("storagemarket", "addBalance", b"\x01"),
    "another number of values": ("storagemarket", "getBalance", encode([b"", b"", b""])),
    "text in place of a list": ("storagemarket", "getBalance", encode("text")),
    "an amount beyond int256": ("datacap", "totalSupply", encode(b"\0" + (2**255).to_bytes(32, "big"))),
    "an amount beyond int256, negative": ("datacap", "totalSupply", encode(b"\1" + (2**255 + 1).to_bytes(32, "big"))),
    "an amount of 129 bytes": ("datacap", "totalSupply", encode(bytes(129))),
    "a sign byte of 2": ("datacap", "totalSupply", encode(b"\2\1")),
    "an ID below zero": ("storagemarket", "getDealClient", encode(-1)),
    "a label that is neither text nor bytes": ("storagemarket", "getDealLabel", encode(5)),
    "no CBOR": ("storagemarket", "getDealClient", b"\xff"),
    "a bignum": ("storagemarket", "getDealClient", bytes.fromhex("c249010000000000000000")),
    "a CID that is none": ("storagemarket", "getDealDataCommitment", encode([b"cid", 1])),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_an_answer_that_solidity_cannot_have_is_a_typed_error(case: str) -> None:
    actor, name, data = BAD_ANSWERS[case]
    with pytest.raises(FacadeRefusal, match=r"^BadAnswer\(5, "):
        function(actor, name).encode_return(ME, data)


def test_the_largest_amounts_of_int256_pass() -> None:
    supply = function("datacap", "totalSupply")
    for number in (2**255 - 1, -(2**255)):
        magnitude = abs(number).to_bytes(32, "big")
        assert supply.encode_return(ME, encode(bytes([number < 0]) + magnitude)) == words(number)


def test_invalid_utf8_and_invalid_cids_are_refused() -> None:
    publish = function("storagemarket", "publishStorageDeals")
    _, deals = publish.inputs[0]
    address, amount = [b"\0\1"], 0
    for cid, label in (
        (b"no cid", [[b"label"], []]),
        (cid_of(b"x", CBOR), [[b"\xff"], []]),
        (cid_of(b"x", CBOR), [[], []]),
    ):
        proposal: tuple[Any, ...] = (([cid]), 1, False, address, address, label, 1, 2, amount, amount, amount)
        name = deals.coder.name.replace("string[]", "bytes[]")  # the same encoding, for bytes that are not valid text
        calldata = publish.selector + abi_encode([name], [[(proposal, b"")]])
        with pytest.raises(FacadeRefusal, match="BadCalldata"):
            publish.params(calldata)


@pytest.mark.slow
@given(st.sampled_from(sorted(INTERFACES)), st.data(), st.binary(max_size=200))
def test_any_calldata_is_translated_faithfully_or_refused(actor: str, data: Any, tail: bytes) -> None:
    chosen = data.draw(st.sampled_from(sorted(facade(actor))))
    call = facade(actor)[chosen]
    try:
        params = call.params(chosen + tail)
    except FacadeRefusal as refused:
        refusal: FacadeRefusal | None = refused
    else:
        refusal = None
    if refusal is not None:
        assert refusal.data[:4] in {Web3.keccak(text=signature(name))[:4] for name in ERRORS}
        return
    values = decode(params) if params else []
    again = values if call.takes_tuple or not params else [values]
    assert chosen + call.arguments.write(again) == chosen + tail


def signature(error: str) -> str:
    return f"{error}({','.join(coder.name for coder, _ in ERRORS[error])})"


def test_a_type_that_no_method_has_is_no_type_of_solidity() -> None:
    with pytest.raises(TypeError):
        SolidityTypes("init").of("AddressMap")
    with pytest.raises(TypeError):
        SolidityTypes("placeholder").of("Any")


DATACAP = Address.id(DATACAP_ACTOR)
TOKEN = ContractInterface(abi("datacap"))
Answer = Callable[[Kernel], Outcome]


@dataclass
class Impostor(ForwardingRuntime):
    """A native runtime in which a test determines the return value of the token actor."""

    answer: Answer | None = None
    entered: int = 0

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        if self.answer is None or kernel.context.receiver != DATACAP_ACTOR:
            return self.behind.invoke(kernel, code, params)
        self.entered += 1
        assert kernel.context.method != INVOKE_EVM
        return self.answer(kernel)


class Tokens:
    """A machine with the facade around an impostor."""

    def __init__(self) -> None:
        self.machine = Hypervisor.open(genesis=GENESIS)
        made: list[Impostor] = []

        def impostor(behind: Runtime) -> Impostor:
            made.append(Impostor(behind))
            return made[-1]

        self.machine.registry.wrap(NATIVE, impostor)
        enable_facade(self.machine)
        self.machine.registry.runtime_for(self.machine.manifest.code("datacap"))  # loads and wraps it
        self.impostor = made[0]

    def call(self, name: str, *arguments: object, answer: Answer | None = None) -> ApplyResult:
        self.impostor.answer, self.impostor.entered = answer, 0
        params = byte_string(TOKEN.encode_call(name, *arguments))
        return self.machine.call(Message(DATACAP, ALICE, method=INVOKE_EVM, params=params, gas_limit=Gas(10**12)))


@pytest.fixture(scope="module")
def tokens() -> Iterator[Tokens]:
    made = Tokens()
    yield made
    made.machine.close()


def answering(codec: int, data: bytes, exit_code: int = 0) -> Answer:
    return lambda kernel: Outcome(exit_code, kernel.ipld.create(codec, data))


def error(result: ApplyResult) -> str:
    assert result.exit_code == ExitCode.EVM_CONTRACT_REVERTED
    return TOKEN.decode_revert(invoke_return(result.return_data))


SUPPLY, NAME = method_number("TotalSupply"), method_number("Name")


def test_a_call_becomes_the_call_of_the_method(tokens: Tokens) -> None:
    result = tokens.call("totalSupply", answer=answering(CBOR, encode(b"\0\5")))
    assert TOKEN.decode_result("totalSupply", invoke_return(result.return_data)) == 5
    assert tokens.impostor.entered == 1


@pytest.mark.parametrize("codec", [CBOR, DAG_CBOR])
def test_both_codecs_of_cbor_are_answers(tokens: Tokens, codec: int) -> None:
    assert tokens.call("totalSupply", answer=answering(codec, encode(b""))).exit_code == ExitCode.OK


ODD: dict[str, tuple[Answer, str]] = {
    "raw bytes": (answering(RAW, encode(b"")), f'BadAnswer(7, {SUPPLY}, "codec 0x55")'),
    "no answer": (lambda _: Outcome(0), f'BadAnswer(7, {SUPPLY}, "expected a list of 1 values")'),
    "an exit code of its own": (answering(CBOR, b"\x01", 77), f"ActorError(7, {SUPPLY}, 77, 0x01)"),
    "an exit without data": (lambda _: Outcome(16), f"ActorError(7, {SUPPLY}, 16, 0x)"),
    "trailing bytes": (answering(CBOR, b"\x40\x00"), f'BadAnswer(7, {SUPPLY}, "not canonical DAG-CBOR'),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_answer_is_a_typed_error(tokens: Tokens, case: str) -> None:
    result, words = ODD[case]
    assert error(tokens.call("totalSupply", answer=result)).startswith(words)


def test_an_answer_that_names_no_block_is_the_machine_s_exit(tokens: Tokens) -> None:
    result = tokens.call("totalSupply", answer=lambda _: Outcome(0, BlockId(99)))
    assert result.exit_code == ExitCode.SYS_MISSING_RETURN


def test_an_answer_that_is_too_large_as_abi_is_refused(tokens: Tokens) -> None:
    text = "x" * ((1 << 20) - 40)
    words = error(tokens.call("name", answer=answering(CBOR, encode(text))))
    assert words.startswith(f"BadAnswer(7, {NAME}, ")
    assert "exceeds 1 MiB" in words


def test_exit_with_oversized_data_is_an_empty_revert(tokens: Tokens) -> None:
    result = tokens.call("name", answer=answering(CBOR, bytes((1 << 20) - 8), 20))
    assert (result.exit_code, result.return_data) == (ExitCode.EVM_CONTRACT_REVERTED, b"")


def test_actor_effects_before_bad_answer_are_reverted(tokens: Tokens) -> None:
    def pays(kernel: Kernel) -> Outcome:
        sent = kernel.send(ALICE, MethodNumber(0), value=TokenAmount(5))
        assert sent.exit_code == ExitCode.OK
        return Outcome(0, kernel.ipld.create(CBOR, b"\xf6"))

    state = tokens.machine.actor(DATACAP)
    assert state is not None
    tokens.machine.state_tree.set_actor(ActorID(DATACAP_ACTOR), state.with_balance(TokenAmount(100)))
    before = tokens.machine.state_tree.flush()
    tokens.impostor.answer = pays
    params = byte_string(TOKEN.encode_call("totalSupply"))
    message = Message(DATACAP, Address.id(ActorID(100)), method=INVOKE_EVM, params=params, gas_limit=Gas(10**12))
    result = tokens.machine.apply_implicit(message)
    assert error(result).startswith("BadAnswer")
    assert tokens.machine.state_tree.flush() == before
    tokens.impostor.answer = None


def test_a_byte_of_abi_has_its_price() -> None:
    charged: list[GasCharged] = []

    class Meter(Tracer):
        def event(self, event: TraceEvent) -> None:
            if isinstance(event, GasCharged) and event.name == "OnFacade":
                charged.append(event)

    with Hypervisor.open(genesis=Genesis(accounts={ALICE: TokenAmount(10**20)}), tracer=Meter()) as machine:
        enable_facade(machine)
        params = byte_string(TOKEN.encode_call("totalSupply"))
        machine.call(Message(DATACAP, ALICE, method=INVOKE_EVM, params=params, gas_limit=Gas(10**12)))
    assert [event.milligas for event in charged] == [4 * PRICE_PER_BYTE, 32 * PRICE_PER_BYTE]


def test_out_of_gas_in_facade_leaves_state_unchanged(tokens: Tokens) -> None:
    tokens.impostor.answer = None
    params = byte_string(TOKEN.encode_call("totalSupply"))
    needed = tokens.call("totalSupply").gas_used
    message = Message(DATACAP, ALICE, method=INVOKE_EVM, params=params)
    root = tokens.machine.state_tree.flush()
    for share in range(1, 20):
        limited = replace(message, gas_limit=Gas(needed * share // 20))
        assert tokens.machine.call(limited).exit_code == ExitCode.SYS_OUT_OF_GAS
    assert tokens.machine.state_tree.flush() == root


def test_parameters_that_are_no_calldata_pass_the_facade(tokens: Tokens) -> None:
    for params in (b"\x81\x00", b"\x00", b"\xf6"):
        result = tokens.machine.call(Message(DATACAP, ALICE, method=INVOKE_EVM, params=params, gas_limit=Gas(10**12)))
        assert result.exit_code == ExitCode.USR_UNHANDLED_MESSAGE


def test_other_methods_pass_the_facade(tokens: Tokens) -> None:
    message = Message(DATACAP, ALICE, method=NAME, gas_limit=Gas(10**12))
    assert tokens.machine.call(message).return_data == encode("DataCap")


@pytest.mark.parametrize("offered", [True, False])
def test_contract_calls_actors_under_ethereum_rules(offered: bool) -> None:
    # MSTORE the selector of name(); STATICCALL f07 with it; RETURN the return data
    code = bytes.fromhex("6306fdde0360e01b5f525f5f60045f73" + "ff" + "00" * 18 + "07" + "5afa3d5f5f3e3d5ff3")
    contract, sender = EthAddress(b"\xc1" * 20), EthAddress(bytes(19) + b"\x01")
    with Hypervisor.open(rules="ethereum") as machine:
        if offered:
            enable_facade(machine)
        install_alloc(machine, {sender: AllocAccount(10**18), contract: AllocAccount(0, 1, code)})
        call = Message(to_filecoin(contract), to_filecoin(sender), method=INVOKE_EVM, gas_limit=Gas(10**9))
        returned = invoke_return(machine.call(call).return_data)
    assert (TOKEN.decode_result("name", returned) if returned else None) == ("DataCap" if offered else None)
