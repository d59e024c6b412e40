"""Call trees whose first frames wait in the guest while an interceptor between frames handles a call.

The expected receipt, state root and order of logs are those of the plain engine, which makes each host call itself.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bridge.ethereum.addresses import EthAddress, create_address, masked_id, to_filecoin
from bridge.ethereum.block import EthereumBlock
from bridge.filecoin.events import Log
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.events import StampedEvent
from hypervisor.messages.message import Message, Receipt
from hypervisor.types import INIT_ACTOR, ActorID, Gas
from runtimes.evm.engine import CallInputs, SubcallInputs, SubcallOutcome
from runtimes.evm.ethereum import subcalls
from runtimes.evm.ethereum.alloc import AllocAccount, install_alloc
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.host import EthereumHost
from tests.runtimes.evm.assembler import assemble, deployer

WAITING_SENDER, WAITING_CONTRACT, WAITING_CALLEE, CHEAT = (
    EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB, 0xCC, 0x71)
)
ETCHED = EthAddress(masked_id(ActorID(5_000)))
MASKED = f"0x{masked_id(INIT_ACTOR).hex()}"
ASK_CHEAT = f"32 0 0 0 0 0x{CHEAT.hex()} GAS CALL POP"
CALL_WAITING_CALLEE = f"32 64 0 0 0 0x{WAITING_CALLEE.hex()} 200000 CALL"
INIT = deployer(assemble("7 0 0 LOG1 CALLER SELFDESTRUCT"))
CREATE = f"0x{INIT.hex()} 96 MSTORE {len(INIT)} {128 - len(INIT)} 0 CREATE"

LOGGING = assemble("7 0 0 LOG1")
CREATE_LOGGING = f"0x{LOGGING.hex()} 96 MSTORE {len(LOGGING)} {128 - len(LOGGING)} 0 CREATE"


@dataclass
class Between:
    """Handles calls to an address by writing a slot of the caller's, and sees the calls of frames up to a depth."""

    depth: int
    watches: bool = False
    watched: frozenset[bytes] = frozenset({bytes(CHEAT)})
    told: list[object] = field(default_factory=list)

    @property
    def is_armed(self) -> bool:
        return self.depth > 0 or self.watches

    def sees(self, depth: int) -> bool:
        return depth <= self.depth

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        return proceed(call)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        """Ignore the event."""

    def on_log(self, calls: EthereumCalls, emitter: ActorID, log: Log) -> None:
        self.told.append((calls.accounts.address_of(emitter), log))

    def on_hash(self, host: EthereumHost, data: bytes, digest: bytes) -> None:
        """Ignore the hash."""

    def on_storage_access(self, host: EthereumHost, slot: int, word: int | None) -> None:
        """Ignore the access."""

    def after_storage_access(self, host: EthereumHost, slot: int, before: int, word: int | None) -> None:
        """Ignore it."""

    def before_account_access(self, host: EthereumHost, opcode: str, address: EthAddress) -> None:
        """Ignore it."""

    def before_gas_read(self, host: EthereumHost) -> None:
        """Ignore it."""

    def execute_subcall(self, host: EthereumHost, inputs: SubcallInputs) -> SubcallOutcome:
        if isinstance(inputs, CallInputs) and inputs.address == CHEAT:
            host.charge(host.access(inputs.address))
            host.accounts.store(host.actor, 9, host.accounts.word(host.actor, 9) + host.accounts.word(host.actor, 1))
            return SubcallOutcome(True, (77).to_bytes(32, "big"))
        self.told.append((host.address, type(inputs).__name__)) if host.calls.depth <= self.depth else None
        return subcalls.execute_subcall(host, inputs)


def outcome(evm: str, contract: str, callee: str, between: Between) -> tuple[object, ...]:
    made = Hypervisor.open(rules="ethereum", evm=evm)
    with made:
        made.advance(block=EthereumBlock(gas_limit=1 << 40))
        install_alloc(made, {
            WAITING_SENDER: AllocAccount(10**20),
            WAITING_CONTRACT: AllocAccount(5, 1, assemble(contract), {3: 4}),
            WAITING_CALLEE: AllocAccount(0, 1, assemble(callee)),
            CHEAT: AllocAccount(0, 0, b"\0"),
            ETCHED: AllocAccount(0, 1, assemble(f"1 1 SSTORE {ASK_CHEAT} 9 SLOAD 6 SSTORE 6 0 0 LOG1")),
        })  # fmt: skip
        made.interceptor = between
        result = made.apply(Message(
            to_filecoin(WAITING_CONTRACT), to_filecoin(WAITING_SENDER), 0, method=INVOKE_EVM, gas_limit=Gas(3_000_000)
        ))  # fmt: skip
        return result.receipt, result.events, made.flush(), between.told


SLOTS = "9 SLOAD 4 SSTORE 3 SLOAD 5 SSTORE 5 7 TSTORE"
PROGRAMS = {
    "what was written before is there": (f"8 1 SSTORE {ASK_CHEAT} {SLOTS} 0 MLOAD 6 SSTORE GAS 7 SSTORE", ""),
    "what is written by the answer": (f"1 1 SSTORE 1 9 SSTORE {ASK_CHEAT} {ASK_CHEAT} {SLOTS} 9 SLOAD 8 SSTORE", ""),
    "memory that was paid for": (f"1 4000 MSTORE {ASK_CHEAT} 1 5000 MSTORE GAS 7 SSTORE MSIZE 8 SSTORE", ""),
    "the size of the code": (f"0x{CHEAT.hex()} EXTCODESIZE 1 SSTORE {ASK_CHEAT} 0x{CHEAT.hex()} BALANCE 2 SSTORE", ""),
    "a callee that asks": (
        f"2 1 SSTORE {CALL_WAITING_CALLEE} 2 SSTORE {SLOTS}",
        f"1 1 SSTORE {ASK_CHEAT} 9 SLOAD 6 0 LOG1",
    ),
    "a callee that asks and fails": (
        f"{CALL_WAITING_CALLEE} 2 SSTORE {SLOTS} GAS 8 SSTORE",
        f"3 1 SSTORE {ASK_CHEAT} INVALID",
    ),
    "a callee that logs and fails": (f"{CALL_WAITING_CALLEE} 2 SSTORE 5 0 0 LOG1 {ASK_CHEAT}", "6 0 0 LOG1 0 0 REVERT"),
    "logs before and behind": (f"1 0 0 LOG1 {ASK_CHEAT} 2 0 0 LOG1 {CALL_WAITING_CALLEE} 3 0 0 LOG1", "4 0 0 LOG1"),
    "creations": (f"{ASK_CHEAT} {CREATE} 2 SSTORE {ASK_CHEAT} {CREATE} EXTCODEHASH 3 SSTORE GAS 4 SSTORE", ""),
    "money": (f"{ASK_CHEAT} 0 0 0 0 2 0x{WAITING_CALLEE.hex()} GAS CALL 1 SSTORE SELFBALANCE 2 SSTORE {ASK_CHEAT}", ""),
    "an actor's code": (f"1 1 SSTORE {ASK_CHEAT} {MASKED} EXTCODESIZE 2 SSTORE GAS 3 SSTORE {ASK_CHEAT}", ""),
    "its bytes": (f"1 1 SSTORE {ASK_CHEAT} 40 2 0 {MASKED} EXTCODECOPY 0 MLOAD 2 SSTORE GAS 3 SSTORE", ""),
    "a call of it": (f"1 1 SSTORE 0 0 0 0 0 {MASKED} 100000 CALL 2 SSTORE GAS 3 SSTORE {ASK_CHEAT} 9 SLOAD", ""),
    "code in an actor's place": (f"{ASK_CHEAT} 0 0 0 0 0 0x{ETCHED.hex()} 200000 CALL 2 SSTORE GAS 3 SSTORE", ""),
    "its being left money": (f"1 1 SSTORE {ASK_CHEAT} {MASKED} SELFDESTRUCT", ""),
    "failure": (f"1 1 SSTORE {ASK_CHEAT} 1 0 0 LOG1 0 0 REVERT", ""),
    "a creation that logs, and failure": (f"{CREATE_LOGGING} POP {ASK_CHEAT} {CREATE_LOGGING} POP 0 0 REVERT", ""),
    "no gas": (f"1 1 SSTORE {ASK_CHEAT} 1 0 0 LOG1 again: @again JUMP", ""),
}


@pytest.mark.parametrize("depth", [0, 1, 9], ids=["unseen", "the first frame's calls seen", "all calls seen"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_suspended_and_resumed_execution_has_same_outcome(program: str, depth: int) -> None:
    contract, callee = PROGRAMS[program]
    plain, fast = (outcome(evm, contract, callee, Between(depth)) for evm in ("py-evm", "fast"))
    if depth < 9:  # logs of what fails are told where all is seen
        plain, fast = plain[:3], fast[:3]
    assert fast == plain


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_logs_of_contracts_in_failed_frame_have_their_addresses(evm: str) -> None:
    contract = f"{CREATE_LOGGING} POP 8 0 0 LOG1 {CREATE_LOGGING} POP 0 0 REVERT"
    between = Between(0)
    receipt, events, *_ = outcome(evm, contract, "", between)
    assert isinstance(receipt, Receipt)
    assert receipt.exit_code == ExitCode.EVM_CONTRACT_REVERTED
    assert events == ()
    seven, eight = (Log((number.to_bytes(32, "big"),), b"") for number in (7, 8))
    first, second = (create_address(WAITING_CONTRACT, nonce) for nonce in (1, 2))
    assert between.told == [(first, seven), (WAITING_CONTRACT, eight), (second, seven)]


def test_waiting_frame_resumes_as_tree(trees: Counter[str]) -> None:
    outcome("fast", f"{ASK_CHEAT} {CALL_WAITING_CALLEE} {ASK_CHEAT}", "1 1 SSTORE", Between(0))
    assert trees == {"ended": 3}  # to the first question, to the second, to the end; the callee's are parts of them


def test_frames_that_are_watched_run_by_themselves(trees: Counter[str]) -> None:
    outcome("fast", f"{ASK_CHEAT} {CALL_WAITING_CALLEE} {ASK_CHEAT}", "1 1 SSTORE", Between(9, watches=True))
    assert not trees
