"""A million messages that fail in every possible way: `python -m tests.hypervisor.memory_run`.

Exits with 1 if memory grows. Messages are rejected, run out of gas, trap, abort, revert, make invalid kernel calls and
name missing items; every thousand is rolled back. After a warm-up, the process may grow by at most 2 %. The result is a
record (tests.harness.recorded).
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from random import Random
from time import monotonic
from typing import Any, Final

from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import CREATE_EXTERNAL_METHOD, CreateReturn
from hypervisor import Address, Genesis, Hypervisor, Message, fil
from hypervisor.errors import HypervisorError
from hypervisor.types import EAM_ACTOR, ActorID, Gas, MethodNumber, TokenAmount
from store.blockstore import StoreError
from store.cid import CidError, cid_of
from store.codec import CodecError, decode_strict, encode
from tests.harness.memory import resident
from tests.harness.recorded import NOT_RUN, RunRecord, finish, options
from tests.runtimes.wasm.guests import guest, install_actor, probe

MORE: Final = 0.02
"""Maximum growth of memory after the warm-up, as a fraction."""
WARM_UP: Final = 20_000
AT_ONCE: Final = 1_000
SENDER: Final = Address.delegated(10, bytes.fromhex("a11ce00000000000000000000000000000000001"))
NOWHERE: Final = Address.delegated(10, bytes.fromhex("b0b0000000000000000000000000000000000002"))

Failing = Callable[[], str]
"""A message or query, and the expected way to fail."""


def main() -> int:
    """Run the check, and return the exit code."""
    chosen = options(__doc__, 1_000_000).parse_args()
    if not resident():
        print(f"{NOT_RUN}this system does not tell a process how much memory it holds")
        return 2
    started = monotonic()
    return finish(check(chosen.count, chosen.seed), chosen, started)


def check(count: int, seed: int) -> RunRecord:
    """Execute this many failures."""
    with Hypervisor.open(genesis=Genesis(accounts={SENDER: fil(1_000)})) as machine:
        failures = Failures(machine)
        ways = failures.in_turn(Random(seed))
        _fail(machine, ways, WARM_UP)
        before, ended = resident(), Counter[str]()
        while (left := count - ended.total()) > 0:
            ended += _fail(machine, ways, min(left, AT_ONCE))
        after = resident()
    grown = after / before - 1
    findings = [f"{grown:.1%} more memory, {MORE:.0%} are allowed"] if grown > MORE else []
    details = {
        "bytes after the warm-up": before,
        "bytes at the end": after,
        "growth": f"{grown:.2%}",
        "ends": dict(sorted(ended.items())),
    }
    return RunRecord(seed, count, {"failed": ended.total() - ended["exit 0"]}, findings, details)


def _fail(machine: Hypervisor, ways: Iterator[Failing], count: int) -> Counter[str]:
    ended = Counter[str]()
    with machine.trial():
        for way in islice(ways, count):
            ended[way()] += 1
    return ended


class Failures:
    """A machine with actors and contracts that fail, and the messages that make them fail."""

    def __init__(self, machine: Hypervisor) -> None:
        self._machine = machine
        abort = "(drop (call $exit (i32.const 42) (i32.const 0) (i32.const 0) (i32.const 0))) unreachable"
        modules = {
            "trap": guest("unreachable"),
            "endless": guest("(loop (br 0)) unreachable"),
            "abort": guest(abort, "vm.exit"),
            "refused": probe("(call $block_open (i32.const 0) (i32.const 128))", "ipld.block_open", show=(0, 4)),
        }
        self._actors = {
            name: install_actor(machine, module, 5_000 + number)
            for number, (name, module) in enumerate(modules.items())
        }
        self._reverting = self._deploy(bytes.fromhex("60006000fd"))
        self._invalid = self._deploy(bytes.fromhex("fe"))
        machine.flush()

    def _deploy(self, code: bytes) -> Address:
        """Deploy a contract with this code, by init code that copies it."""
        init = bytes.fromhex(f"60{len(code):02x}600c60003960{len(code):02x}6000f3") + code
        result = self._machine.apply(self._message(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, encode(init)))
        assert result.exit_code == 0, result.message
        return Address.id(CreateReturn.decode(result.return_data).actor)

    def _message(self, to: Address, method: int = 0, params: bytes = b"", **fields: Any) -> Message:
        sender = self._machine.actor(SENDER)
        message = Message(
            to, SENDER, nonce=0 if sender is None else sender.nonce, method=MethodNumber(method), params=params
        )
        return replace(message, **fields)

    def in_turn(self, random: Random) -> Iterator[Failing]:
        """Iterate over the failures endlessly, in an order given by the seed."""
        ways: list[Failing] = [
            *(lambda name=name: self._send(self._actors[name], 2, gas_limit=Gas(100_000_000)) for name in self._actors),
            lambda: self._send(self._reverting, INVOKE_EVM),
            lambda: self._send(self._invalid, INVOKE_EVM, gas_limit=Gas(100_000_000)),
            lambda: self._send(Address.id(EAM_ACTOR), CREATE_EXTERNAL_METHOD, b"\xff"),
            lambda: self._send(Address.id(EAM_ACTOR), 77),
            lambda: self._send(Address.id(99_999)),
            lambda: self._send(NOWHERE, value=fil(10_000)),
            lambda: self._send(NOWHERE, gas_limit=Gas(1)),
            lambda: self._send(NOWHERE, gas_limit=Gas(500_000)),
            lambda: self._send(NOWHERE, nonce=random.randrange(1 << 40, 1 << 50)),
            lambda: self._send(NOWHERE, from_=NOWHERE),
            lambda: self._send(NOWHERE, gas_fee_cap=TokenAmount(-1)),
            lambda: self._send(NOWHERE, gas_limit="much"),
            lambda: self._ask(lambda: decode_strict(random.randbytes(20) + b"\xff")),
            lambda: self._ask(lambda: self._machine.store.get(cid_of(random.randbytes(8)))),
            lambda: self._ask(lambda: Address.parse(f"f1{random.randrange(1 << 40)}")),
            lambda: self._ask(lambda: self._machine.storage(Address.id(ActorID(random.randrange(10_000, 1 << 30))))),
        ]
        random.shuffle(ways)
        return cycle(ways)

    def _send(self, to: Address, method: int = 0, params: bytes = b"", **fields: Any) -> str:
        return self._ask(lambda: self._machine.apply(self._message(to, method, params, **fields)))

    @staticmethod
    def _ask(question: Callable[[], Any]) -> str:
        try:
            result = question()
        except (HypervisorError, StoreError, CodecError, CidError, ValueError) as error:
            return type(error).__name__
        return f"exit {getattr(result, 'exit_code', 0)}"


if __name__ == "__main__":
    sys.exit(main())
