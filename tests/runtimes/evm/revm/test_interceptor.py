"""An interceptor of the machine's calls under Ethereum's rules, which sees the calls of contracts."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.messages.events import StampedEvent
from runtimes.evm.blocks.alloc import AllocAccount
from store.cid import RAW
from tests.differential.grammar import SENDER
from tests.engines.scenes import Batch
from tests.engines.scenes import Call as Message
from tests.engines.worlds import EthereumMachine
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.machines import word

FIRST, SECOND, THIRD = (EthAddress(bytes([number]) * 20) for number in (0xC1, 0xC2, 0xC3))
CODES = {
    FIRST: f"32 0 0 0 5 {word(SECOND)} GAS CALL 32 MSTORE 64 0 RETURN",
    SECOND: f"7 1 SSTORE 0 0 0 0 {word(THIRD)} GAS STATICCALL 0 0 0 0 0 {word(THIRD)} GAS CALL 0 0 32 0 0 4 GAS CALL "
    "ADD ADD 0 MSTORE 32 0 RETURN",
    THIRD: "0 0 REVERT",
}


@dataclass
class Interceptor:
    """Answers calls of an address with a result."""

    answers: dict[EthAddress, CallResult] = field(default_factory=dict)
    seen: list[tuple[int, str, int, bool, int]] = field(default_factory=list)

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        at = len(self.seen)
        self.seen.append((calls.depth, str(call.to), call.value, call.read_only, 0))
        answer = next((result for to, result in self.answers.items() if call.to == to_filecoin(to)), None)
        result = proceed(call) if answer is None else calls.trace_intercepted(call, answer)
        self.seen[at] = (*self.seen[at][:4], result.exit_code)
        return result

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Ignore events."""


def run(interceptor: Interceptor | None, engine: str) -> tuple[int, bytes]:
    """Return the gas used, and the output of the first contract: what the second one returns, and its success."""
    accounts = {address: AllocAccount(10, 1, assemble(code)) for address, code in CODES.items()}
    accounts[SENDER] = AllocAccount(10**24)
    call = Message(FIRST, b"", 0, 900_000)
    drawn = Batch("one", "Osaka", False, accounts, (call,))
    machine = EthereumMachine(engine, drawn.rules)
    machine.begin(drawn)
    machine.machine.interceptor = interceptor
    outcome = machine.attempt(call, call.gas_limit)
    assert outcome.exit_code == ExitCode.OK
    return outcome.gas_used, outcome.output


@pytest.mark.parametrize("engine", ["fast", "py-evm"])
def test_interceptor_sees_all_calls_and_changes_nothing(engine: str) -> None:
    interceptor = Interceptor()
    assert run(interceptor, engine) == run(None, engine)
    first, second, third, identity = (
        str(to_filecoin(to)) for to in (FIRST, SECOND, THIRD, EthAddress(bytes(19) + b"\4"))
    )
    assert interceptor.seen == [
        (0, first, 0, False, 0),
        (1, second, 5, False, 0),
        (2, third, 0, True, 33),
        (2, third, 0, False, 33),
        (2, identity, 0, False, 0),
    ]


@pytest.mark.parametrize(("exit_code", "success"), [(ExitCode.OK, 1), (33, 0)])
def test_interceptor_answers_instead_of_a_contract(exit_code: int, success: int) -> None:
    interceptor = Interceptor({SECOND: CallResult(exit_code, Block(RAW, bytes(31) + b"\x2a"))})
    _, output = run(interceptor, "fast")
    assert output[-64:] == bytes(31) + b"\x2a" + success.to_bytes(32, "big")
    assert [to for _, to, *_ in interceptor.seen] == [str(to_filecoin(FIRST)), str(to_filecoin(SECOND))]
