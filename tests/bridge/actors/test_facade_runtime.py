"""The facade around the native runtime: which calls pass it, and actors with invalid return values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from bridge.abi.abi import ContractInterface
from bridge.actors.facade_runtime import PRICE_PER_BYTE, enable_facade
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import INVOKE_EVM, invoke_return, method_number
from fvm_hypervisor.bindings.actors.solidity import abi
from hypervisor import Address, Genesis, Hypervisor, Message
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.registry import NATIVE, Outcome, Runtime
from hypervisor.tracing import GasCharged, TraceEvent
from hypervisor.types import DATACAP_ACTOR, ActorID, BlockId, Gas, MethodNumber, TokenAmount
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from store.cid import CBOR, DAG_CBOR, RAW, Cid
from store.codec import encode
from tests.hypervisor.builtin_actors.people import ALICE, GENESIS
from tests.hypervisor.world import ForwardingRuntime

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

    class Meter:
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
