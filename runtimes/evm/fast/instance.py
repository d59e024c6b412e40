"""One instance of the guest: its mailbox, its memory, the codes and rules that it has been given, and who uses it.

An instance runs one frame at a time but holds any number of suspended ones. A frame that asks leaves the instance to
the next frame, which is the callee as a rule; it must go on on the same one. While frames wait the instance belongs to
their message (`owner`). The pool (`pool`) gives an instance to one thread at a time.
"""

import ctypes
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from struct import Struct
from typing import Final
from weakref import ref

from bridge.addresses import EthAddress
from hypervisor.errors import Fatal
from hypervisor.tracing import RuntimeEvent
from hypervisor.types import ActorID
from runtimes.evm.engine import EngineRules, Host
from runtimes.evm.fast.numbers import EXCHANGE, GuestCommand
from runtimes.evm.fast.regions.compiler import RegionCompiler
from runtimes.evm.fast.regions.installed import MOST_INSTANCES, InstanceRegions
from runtimes.wasmtime.engine import LinkedModule
from runtimes.wasmtime.raw import Instance, Trap

_MEMORY: Final = (1 << 32) - (1 << 16)
_HEAD: Final = 11  # gas, question, failed, seven numbers, position
_POSITION: Final = 10
_ENDED: Final = Struct("<QQ8xQQ")
"""The numbers after a frame's end."""
_WORD: Final = 32
_WORDS: Final = 8
_CODE_BYTES: Final = 4 << 20
_SEED_BYTES: Final = 80
_HOT_BYTES: Final = 8 * (1 + 3 * 8)
"""The number of hot landings, and each of them (`Mailbox` in guests/evm/src/host.rs)."""
_NO_OPCODE: Final = (1 << 64) - 1
KEPT_MEMORY: Final = 16 << 20
"""An instance that has grown beyond this is given up when none of its frames waits any more."""
_KEPT_PAGES: Final = KEPT_MEMORY >> 16
_PAGES: Final = 5
"""Where the guest says at a frame's end how many pages its memory has."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What the guest may ask of a host, by number."""

    functions: tuple[Callable[["FastInstance", Host], None], ...]
    answerable: frozenset[int]
    """Those of a tree that runs alone that can be answered before it begins again."""
    account_code: int
    """The one of these that is answered with code."""
    at_ease: frozenset[int]
    """Those whose answers are no numbers, and that come at long intervals."""


def address_of(word: int) -> EthAddress:
    """The address in a word, whose upper bytes do not count."""
    return EthAddress((word & (1 << 160) - 1).to_bytes(20, "big"))


class FastInstance:
    """One instance. `numbers` are the mailbox's; `host` answers what the running frame asks."""

    def __init__(
        self,
        linked: LinkedModule,
        live: "dict[int, FastInstance]",
        questions: Questions,
        heat: int = 0,
        compiler: RegionCompiler | None = None,
    ) -> None:
        """`heat` is after how many landings a code is compiled, by `compiler`."""
        engine = linked.linker.engine
        self._questions = questions
        self._functions = questions.functions
        self.lock = threading.Lock()
        self.host: Host | None = None
        self.failure: BaseException | None = None
        self.code = b""
        self.running = b""
        self.names: Mapping[int, str] = {}
        self.owners: dict[EthAddress, ActorID | None] = {}
        """The actors of a tree's addresses, once they were found."""
        self.before: int | None = None
        self.place: Callable[[int], None] | None = None
        self.pause: Callable[[int, Callable[[], RuntimeEvent]], int] | None = None
        self.features = (0, 0)
        self.waiting = 0
        self.owner: ref[object] | None = None
        """The message whose frames wait here."""
        self.orphans: list[int] = []
        self.broken = False
        self._live = live
        self._instance = Instance(engine.lib, engine.pointer, _MEMORY, 1024, instances=MOST_INSTANCES)
        live[self._instance.context] = self
        self._instance.instantiate(linked.pointer)
        if not self._instance.find_memory() or not self._instance.find_function(b"enter"):
            raise Fatal("the EVM engine's module lacks its memory or its entry")
        self._codes: OrderedDict[bytes, int] = OrderedDict()
        self._code_bytes = 0
        self._rules: dict[str, int] = {}
        self._rule_sets: list[EngineRules] = []
        self._follow()
        place = self._instance.enter_alone(GuestCommand.MAILBOX)
        self._mail = self._view[place : place + 8 * _HEAD].cast("Q")
        self.numbers = self._mail[3:_POSITION]
        self._numbers_at = place + 8 * 3
        words = place + 8 * _HEAD
        self._words = self._view[words : words + (_WORDS + 1) * _WORD]  # the last one: who runs
        self._exchange = words + (_WORDS + 1) * _WORD
        hot = self._exchange + EXCHANGE + 8
        reported = self._view[hot : hot + _HOT_BYTES].cast("Q")
        self.regions = None if compiler is None else InstanceRegions(self, self._instance, compiler, reported)
        self.numbers[0] = heat
        self._instance.enter_alone(GuestCommand.HEAT)
        self.bring(os.urandom(_SEED_BYTES))  # of the guest's maps, on whose order nothing depends
        self._instance.enter_alone(GuestCommand.SEED)

    def _follow(self) -> None:
        base, self.size = self._instance.memory()
        self._view = memoryview((ctypes.c_ubyte * self.size).from_address(base)).cast("B")

    # --- memory -----------------------------------------------------------------------------------------------

    @property
    def is_large(self) -> bool:
        """Whether its memory, which never shrinks, is more than is kept, after a frame's end."""
        return self.numbers[_PAGES] > _KEPT_PAGES

    def read(self, place: int, size: int) -> bytes:
        """Bytes of the guest's memory."""
        if place + size > self.size:
            self._follow()
        return self._view[place : place + size].tobytes()

    def write(self, place: int, data: bytes) -> None:
        """Write bytes."""
        if place + len(data) > self.size:
            self._follow()
        self._view[place : place + len(data)] = data

    def word(self, number: int) -> int:
        """A word of the mailbox."""
        at = number * _WORD
        return int.from_bytes(self._words[at : at + _WORD], "little")

    def address(self, number: int) -> EthAddress:
        """The address in a word of the mailbox."""
        return address_of(self.word(number))

    def put(self, value: int, number: int = 0) -> None:
        """Write a word of the mailbox."""
        at = number * _WORD
        self._words[at : at + _WORD] = value.to_bytes(_WORD, "little")

    def put_bytes(self, value: bytes, number: int = 0) -> None:
        """Write big-endian bytes as a word of the mailbox."""
        self.put(int.from_bytes(value, "big"), number)

    @property
    def position(self) -> int:
        """Where the running frame is, as the guest said it last."""
        return self._mail[_POSITION]

    def put_all(self, form: Struct, *values: object) -> None:
        """Write numbers and words of the mailbox at once."""
        form.pack_into(self._view, self._numbers_at, *values)

    def bring(self, data: bytes) -> None:
        """Lay data before the guest: in the exchange, or in room that it makes for them."""
        size = len(data)
        if size <= EXCHANGE:
            self._view[self._exchange : self._exchange + size] = data
            return
        self.numbers[0] = size
        self._instance.enter_alone(GuestCommand.RESERVE)
        self.write(self.numbers[0], data)

    # --- what a frame needs -----------------------------------------------------------------------------------

    def rules_number(self, rules: EngineRules, copied_bytes_per_gas: int) -> int:
        """The guest's number of a set of rules."""
        number = self._rules.get(rules.name)
        if number is None:
            prices = [_NO_OPCODE] * 256
            for opcode, row in rules.opcodes.items():
                prices[opcode] = row.gas
            prices += astuple(rules.gas)
            self.bring(b"".join(price.to_bytes(8, "little") for price in prices))
            self.numbers[0], self.numbers[1] = copied_bytes_per_gas, rules.family == "ethereum"
            self.numbers[2] = rules.creation_returns
            self._instance.enter_alone(GuestCommand.ADD_RULES)
            number = self._rules[rules.name] = self.numbers[0]
            self._rule_sets.append(rules)
        return number

    def code_number(self, code: bytes) -> int:
        """The guest's number of a piece of code; the least recently used ones are dropped."""
        number = self._codes.get(code)
        if number is not None:
            self._codes.move_to_end(code)
            return number
        self.bring(code)
        self.numbers[0] = len(code)
        self._instance.enter_alone(GuestCommand.ADD_CODE)
        number = self._codes[code] = self.numbers[0]
        self._code_bytes += len(code)
        while self._code_bytes > _CODE_BYTES and len(self._codes) > 1:
            old, place = self._codes.popitem(last=False)
            self._code_bytes -= len(old)
            self.numbers[0] = place
            self._instance.enter_alone(GuestCommand.DROP_CODE)
        return number

    def opcode_at(self, position: int) -> int:
        """The opcode of the running code at a position; STOP after its end."""
        return self.running[position] if position < len(self.running) else 0

    def tidy(self) -> None:
        """Drop the frames that will never go on."""
        while self.orphans:
            self.numbers[0] = self.orphans.pop()
            self._instance.enter_alone(GuestCommand.DROP_FRAME)
            self.wait_no_more()

    def wait(self, owner: "ref[object]") -> None:
        """A frame of this message waits here from now on."""
        self.waiting += 1
        self.owner = owner

    def wait_no_more(self) -> None:
        """A frame goes on, or never will."""
        self.waiting -= 1
        if not self.waiting:
            self.owner = None

    # --- running ----------------------------------------------------------------------------------------------

    def run(self, command: int, host: Host) -> int:
        """Let a frame run until it ends or asks; the guest's answer. Raises what the host raised, or Fatal."""
        gas = host.gas
        self.host, self.failure = host, None
        if gas.granted == 0:
            gas.refill()
        self._mail[0] = gas.remaining
        try:
            exit_code = self._instance.enter(command)
        except Trap as trap:
            raise self.failed(trap) from (self.failure or trap)
        finally:
            self.host = None
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        gas.remaining = self._mail[0]
        return exit_code

    def failed(self, defect: Exception) -> Fatal:
        """What tells of a defect of this engine in the frame that runs; the instance is not used again."""
        self.broken = True
        place = f"in a frame of 0x{self.address(_WORDS).hex()} at {self.position}"
        return Fatal(f"the EVM engine failed {place}: {type(defect).__name__}: {defect}")

    def ended(self) -> tuple[bytes, int, int]:
        """What the frame that has ended gave back; where a tree's changes lie, and how long they are."""
        place, size, changes, length = _ENDED.unpack_from(self._view, self._numbers_at)
        return self.read(place, size), changes, length

    def run_alone(self, command: int, gas: int) -> tuple[int, int]:
        """Let a tree run until it ends or needs an answer; the guest's answer, the gas that is left."""
        self._mail[0] = gas
        try:
            return self._instance.enter_alone(command), self._mail[0]
        except Trap as trap:
            raise self.failed(trap) from trap

    def tell(self, host: Host) -> bool:
        """Put the answer to a tree's question where it finds it when it runs again; whether that can be done."""
        number = self._mail[1]
        if number not in self._questions.answerable:
            return False
        self._functions[number](self, host)
        if number == self._questions.account_code:
            self.bring(self.code)
            self.numbers[0] = len(self.code)
        return True

    def answer(self) -> None:
        """Answer the question in the mailbox; what the host raises is kept for `run`."""
        mail, host = self._mail, self.host
        try:
            if host is None:
                raise Fatal("the EVM engine asks while no frame runs")
            gas = host.gas
            gas.remaining = mail[0]
            number = mail[1]
            self._functions[number](self, host)
            regions = self.regions
            if regions is not None and (regions.hot[0] or regions.awaited) and number in self._questions.at_ease:
                self.look_for_regions()
            mail[0] = gas.remaining
        except BaseException as error:  # noqa: BLE001  # nothing may leave a callback
            self.failure = error
            mail[2] = 1

    def look_for_regions(self) -> None:
        """See to what is hot, and to what was compiled meanwhile: between runs, or where the guest asks for gas."""
        if self.regions is not None:
            self.regions.look(self._instance.enter_alone, self._rule_sets)

    def prepare(self, code: int, rules: int) -> None:
        """Have a code compiled that is about to run, where that is forced."""
        if self.regions is not None:
            self.regions.compile_now(code, rules, self._instance.enter_alone, self._rule_sets[rules])

    def close(self) -> None:
        """Delete the instance."""
        self._live.pop(self._instance.context, None)
        self._instance.close()
