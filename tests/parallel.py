"""Random blocks with conflicting messages, executed serially and in parallel, as a recorded run.

Receipts, gas, events, traced events and the state must be equal. A finding names its block, which `--block SEED`
executes.

A few accounts pay each other and unused addresses, and call a few contracts and actors, which count, read balances,
burn, forward value, create each other at the same addresses, delete themselves, fail or run out of gas. Nonces, funds
and gas limits are sometimes wrong. A block's result on several processes must equal its result on one.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from random import Random
from time import monotonic
from typing import Any, Final
from unittest.mock import patch

from bridge.ethereum.addresses import EthAddress, masked_id, to_filecoin
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.messages import message_from
from bridge.filecoin.method_numbers import method_number
from bridge.filecoin.parameters import CreateReturn
from hypervisor.bundles.genesis import Genesis
from hypervisor.exit_codes import ExitCode
from hypervisor.machine import parallel as room
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.parallel import BlockMessage, Parallel, ParallelBlock
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.tracing import CallEnded, Recorder, SyscallEntered
from hypervisor.types import BURNT_FUNDS_ACTOR, REWARD_ACTOR, Gas, MethodNumber, TokenAmount
from hypervisor_tools.cli.demo.scenario import counter_module
from store.cid import Cid
from store.codec import encode
from tests.harness.recorded import RunRecord, finish, options
from tests.runtimes.evm.assembler import assemble, deployer

ACCOUNTS: Final = 8
MAX_MESSAGES: Final = 20
FEE: Final = 10**9
FIL: Final = 10**18
GAS: Final = 200_000_000
_HANGS: Final = 600.0
"""Seconds after which a worker hangs; its messages are then executed again."""

COUNT, LOOK, KILL, PAY, FAIL, CREATE, SPIN = range(7)
BUSY: Final = assemble("""
    0 CALLDATALOAD 248 SHR
    DUP1 1 EQ @look JUMPI DUP1 2 EQ @kill JUMPI DUP1 3 EQ @pay JUMPI DUP1 4 EQ @fail JUMPI
    DUP1 5 EQ @create JUMPI DUP1 6 EQ @spin JUMPI
    1 CALLDATALOAD DUP1 SLOAD 1 ADD SWAP1 SSTORE CALLVALUE 0 MSTORE 7 32 0 LOG1 STOP
    look: 1 CALLDATALOAD BALANCE 1 SSTORE STOP
    kill: 1 CALLDATALOAD SELFDESTRUCT
    pay: 0 0 0 0 CALLVALUE 1 CALLDATALOAD GAS CALL 2 SSTORE STOP
    fail: 1 1 SSTORE 0 0 REVERT
    create: 0x5f5ff3 0 MSTORE 1 CALLDATALOAD 3 29 0 CREATE2 3 SSTORE STOP
    spin: 1 1 SSTORE @spin JUMP
""")
"""Actions by the first byte of the calldata; the following word is a slot, an address or a salt."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The initial state of blocks."""

    machine: Hypervisor
    accounts: tuple[EthAddress, ...]
    contracts: tuple[EthAddress, ...]
    counters: tuple[Address, ...]


@cache
def stage() -> Stage:
    """Return the initial state."""
    accounts = tuple(EthAddress((0xA << 152 | number).to_bytes(20, "big")) for number in range(ACCOUNTS))
    genesis = Genesis(accounts={to_filecoin(address): TokenAmount(100 * FIL) for address in accounts})
    machine = Hypervisor.open(genesis=genesis, evm="fast")
    code = machine.install(counter_module())
    counters = tuple(machine.create(code).address for _ in range(2))
    contracts = []
    for nonce in range(3):
        creation = _transaction(nonce, None, deployer(BUSY), gas=3 * GAS)
        result = machine.apply(message_from(creation, to_filecoin(accounts[0])))
        assert result.exit_code == 0, result
        contracts.append(CreateReturn.decode(result.return_data).eth_address)
    machine.flush()
    return Stage(machine, accounts, tuple(contracts), counters)


def block(random: Random) -> tuple[Stage, list[Message]]:
    on = stage()
    nonces = {
        address: state.nonce for address in on.accounts if (state := on.machine.actor(to_filecoin(address))) is not None
    }
    senders = on.accounts[: random.choice((1, 2, ACCOUNTS, ACCOUNTS, ACCOUNTS))]
    messages = []
    for _ in range(random.randint(2, MAX_MESSAGES)):
        sender = random.choice(senders)
        nonce = nonces[sender]
        if random.random() < 0.04:
            nonce = abs(nonce + random.choice((-1, 1)))
        else:
            nonces[sender] += 1
        messages.append(_message(random, on, sender, nonce))
    return on, messages


def _message(random: Random, on: Stage, sender: EthAddress, nonce: int) -> Message:
    value = random.choice((0, 0, 1, FIL, 40 * FIL, 99 * FIL))
    gas = GAS if random.random() > 0.06 else random.randrange(GAS)
    match random.randrange(10):
        case 0 | 1 | 2:
            to = random.choice((*on.accounts, *map(_nobody, range(3)), masked_id(BURNT_FUNDS_ACTOR)))
            transaction = _transaction(nonce, to, b"", value, gas)
        case 3:
            transaction = _transaction(nonce, None, deployer(BUSY), 0, 3 * gas)
        case 4:
            method = MethodNumber(method_number("Increment"))
            to_actor, params = random.choice(on.counters), encode(random.randrange(3))
            return Message(
                to_actor, to_filecoin(sender), nonce, TokenAmount(0), method, params, Gas(gas), TokenAmount(FEE)
            )
        case _:
            transaction = _transaction(nonce, random.choice(on.contracts), _calldata(random, on), min(value, FIL), gas)
    return message_from(transaction, to_filecoin(sender))


def _calldata(random: Random, on: Stage) -> bytes:
    what = random.choice((COUNT, COUNT, COUNT, LOOK, LOOK, KILL, PAY, PAY, FAIL, CREATE, SPIN))
    addresses = (
        *on.accounts,
        *on.contracts,
        *map(_nobody, range(3)),
        masked_id(BURNT_FUNDS_ACTOR),
        masked_id(REWARD_ACTOR),
    )
    word = random.randrange(4).to_bytes(32, "big")
    return bytes([what]) + (bytes(12) + random.choice(addresses) if what in (LOOK, KILL, PAY) else word)


def _nobody(number: int) -> EthAddress:
    return EthAddress((0xB << 152 | number).to_bytes(20, "big"))


def _transaction(nonce: int, to: EthAddress | None, data: bytes, value: int = 0, gas: int = GAS) -> Transaction:
    chain = 31_415_926
    return Transaction(DYNAMIC_FEE, chain, nonce, to, value, data, gas, 2 * FEE, FEE)


# --- both ways --------------------------------------------------------------------------------------------------------

Outcome = tuple[Sequence[ApplyResult | str], Cid, Sequence[Any]]
"""Results (or errors of invalid messages), the state after them, and the traced events."""


def execute(
    on: Stage,
    messages: list[Message],
    parallel: Parallel | None = None,
    *,
    traced: bool = False,
    foresees: bool = True,
) -> Outcome:
    """Execute a block on a fork of its initial state, in parallel if requested.

    Unless it `foresees` the receivers of messages, their conflicts occur instead of being avoided.
    """
    recorder = Recorder() if traced else None
    machine = on.machine.fork()
    machine.tracer = recorder
    machine.advance(base_fee=TokenAmount(FEE // 2))
    block = [BlockMessage(partial(machine.apply, each), each.from_, each.to if foresees else None) for each in messages]

    def apply() -> list[ApplyResult | str]:
        if parallel is None:
            return [_result(message.apply) for message in block]
        with ParallelBlock(machine, block, parallel) as started:
            return [_result(partial(started.apply, number)) for number in range(len(messages))]

    try:
        results = machine.stacks.on_one_thread(apply)
        events = [] if recorder is None else [_comparable(event) for event in recorder.events]
        return results, machine.root, events
    finally:
        machine.stacks.dismiss()


def _result(apply: Callable[[], ApplyResult]) -> ApplyResult | str:
    try:
        result = apply()
        # The fast engine's words for it depend on what it has compiled until then: of two checks one comes first.
        return replace(result, message="", reason="") if result.exit_code == ExitCode.SYS_OUT_OF_GAS else result
    except Exception as error:  # noqa: BLE001  # both ways must raise the same
        return f"{type(error).__name__}: {error}"


def _comparable(event: Any) -> Any:
    """Return an event without a guest's memory, and without the text of an out-of-gas error (`_result`)."""
    match event:
        case SyscallEntered():
            return event.name, event.arguments
        case CallEnded(exit_code=ExitCode.SYS_OUT_OF_GAS):
            return event._replace(message="")
    return event


@dataclass(frozen=True, slots=True)
class Played:
    """A block executed both ways: the difference as text (empty if equal), and the workers' statistics."""

    difference: str
    parallel: Parallel
    messages: int
    failed: int


_take_result: Final = room._Worker.take_result


def _take_without_limit(worker: Any, number: int, _timeout: float) -> Any:
    """Wait for a worker's result; a worker that ends has none."""
    return _take_result(worker, number, _HANGS)


def play(seed: int) -> Played:
    """Execute the block of a seed both ways."""
    return played(Random(seed), Random(seed ^ 0x5EED))


def played(content: Random, manner: Random) -> Played:
    """Execute a block with these messages both ways."""
    on, messages = block(content)
    traced = manner.random() < 0.2
    parallel = Parallel(manner.choice((2, 2, 3)), adaptive=manner.random() < 0.3, executes_share=manner.random() < 0.7)
    serial = execute(on, messages, traced=traced)
    # Adaptive workers start after two messages, however short these are. All workers are waited for: whether one is
    # late depends on the machine's load, and so would the stages that a block reaches.
    with (
        patch.multiple(room, _MIN_REMAINING_SECONDS=0.0, MIN_MESSAGES=2),
        patch.object(room._Worker, "take_result", _take_without_limit),
    ):
        beside = execute(on, messages, parallel, traced=traced, foresees=manner.random() < 0.3)
    failed = sum(isinstance(result, str) or result.exit_code != 0 for result in serial[0])
    return Played(difference(serial, beside), parallel, len(messages), failed)


def difference(serial: Outcome, beside: Outcome) -> str:
    for number, (one, other) in enumerate(zip(serial[0], beside[0], strict=True)):
        if one != other:
            return f"message {number}: {one!r} serially, {other!r}"
    if serial[2] != beside[2]:
        return "what a tracer heard"
    return "" if serial[1] == beside[1] else "the state"


STAGES: Final = ("workers were started", "a message was taken over", "a message was executed again")
MAX_FINDINGS: Final = 20
_APART: Final = 1 << 32
"""Distance between the seeds of runs, so that no two share a block."""


def main() -> int:
    """Run the requested comparison and return the exit code."""
    parser = options(__doc__, 10_000)
    parser.add_argument("--block", type=int, metavar="SEED", help="play one block, and say what it found")
    chosen = parser.parse_args()
    if chosen.block is not None:
        played = play(chosen.block)
        print(played.difference or "no difference", played.parallel.record())
        return int(bool(played.difference))
    started = monotonic()
    stages, totals, findings = Counter[str](), Counter[str](), list[str]()
    for seed in range(chosen.seed * _APART, chosen.seed * _APART + chosen.count):
        played = play(seed)
        parallel = played.parallel
        passed = (parallel.blocks > 0, parallel.accepted > 0, parallel.reexecuted > 0)
        stages.update(name for place, name in enumerate(STAGES) if all(passed[: place + 1]))
        totals.update(messages=played.messages, failed=played.failed)
        totals.update(taken_over=parallel.accepted, executed_again=parallel.reexecuted, conflicts=parallel.conflicted)
        if played.difference:
            findings.append(f"block {seed}: {played.difference}")
    record = RunRecord(
        chosen.seed,
        chosen.count,
        {name: stages[name] for name in STAGES},
        findings[:MAX_FINDINGS],
        dict(totals),
    )
    return finish(record, chosen, started)


if __name__ == "__main__":
    sys.exit(main())
