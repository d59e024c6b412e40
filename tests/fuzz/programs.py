"""A guest that executes a program in its parameters: every syscall with any argument, and other hostile operations.

A program is a sequence of instructions: one byte, then eight bytes for each argument. The guest is compiled once, so an
input costs a message but no compilation.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

from hypervisor.messages.address import Address
from runtimes.wasm.syscalls.abi import ALL_FEATURES, SYSCALL_REVISIONS
from tests.fuzz import trees
from tests.runtimes.wasm.guests import imports, wasm

START = 65_536
"""Offset of the program in the guest's memory, which ends one page after it."""
SELF, BUFFER, CONTENT = 64, 1024, 2048
"""Offsets in memory of the guest's address, a buffer for results, and a small DAG-CBOR block."""
GUEST = Address.id(1000)

SYSCALLS = tuple(sorted(SYSCALL_REVISIONS["v4"].items()))
"""Syscalls of instructions 0 to n: name and number of arguments."""

OTHERS = {
    "grow": ("(drop (memory.grow {0}))", 1),
    "fill": ("(memory.fill {0} {1} {2})", 3),
    "copy": ("(memory.copy {0} {1} {2})", 3),
    "store": ("(i64.store {0} {w1})", 2),
    "load": ("(drop (i64.load offset=4294967295 {0}))", 1),
    "recurse": ("(drop (call $recurse {0}))", 1),
    "loop": (
        "(local.set $count {0}) (loop $l (br_if $l (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))",
        1,
    ),
    "indirect": ("(drop (call_indirect (param i32) (result i32) {0} {1}))", 2),
    "table": ("(table.init 0 {0} {1} {2})", 3),
    "divide": ("(drop (i32.div_s {0} {1}))", 2),
    "truncate": ("(drop (i32.trunc_f64_s (f64.reinterpret_i64 {w0})))", 1),
    "jump": ("(local.set $at (i32.add (i32.const 65536) (i32.and {0} (i32.const 4095)))) (br $next)", 1),
    "return": ("(return {0})", 1),
    "trap": ("unreachable", 0),
}
"""Instructions beyond the syscalls: text of the guest's code, and number of arguments."""


FEATURED = tuple(
    sorted(item for item in SYSCALL_REVISIONS[ALL_FEATURES].items() if item[0] not in SYSCALL_REVISIONS["v4"])
)
"""Syscalls of features: the last instructions, which do nothing in a guest without them."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One instruction: its number and its arguments, unsigned 64-bit numbers."""

    number: int
    arguments: tuple[int, ...]

    def encode(self) -> bytes:
        return bytes((self.number,)) + b"".join(argument.to_bytes(8, "little") for argument in self.arguments)


NAMES = (
    *(f"{module}.{name}" for (module, name), _ in SYSCALLS),
    *OTHERS,
    *(f"{module}.{name}" for (module, name), _ in FEATURED),
)
COUNTS = (
    *(len(syscall.letters) for _, syscall in SYSCALLS),
    *(count for _, count in OTHERS.values()),
    *(len(syscall.letters) for _, syscall in FEATURED),
)
_NUMBERS = {name: at for at, name in enumerate(NAMES)}


def operation(name: str, *arguments: int) -> Operation:
    """Return an instruction by name; missing arguments are 0."""
    number = _NUMBERS[name]
    given = (*arguments, *(0 for _ in range(COUNTS[number] - len(arguments))))
    return Operation(number, tuple(argument % 2**64 for argument in given))


def read(program: bytes) -> list[Operation]:
    found, at = [], 0
    while at < len(program):
        number = program[at] % len(NAMES)
        end = at + 1 + 8 * COUNTS[number]
        if end > len(program):
            break
        arguments = tuple(int.from_bytes(program[place : place + 8], "little") for place in range(at + 1, end, 8))
        found.append(Operation(number, arguments))
        at = end
    return found


def write(operations: list[Operation]) -> bytes:
    """Return the bytes of instructions: the inverse of `read`."""
    return b"".join(one.encode() for one in operations)


@cache
def guest(*, featured: bool = False) -> bytes:
    """Return the module; with the syscalls of features, it has an `upgrade` that executes its parameters, too."""
    cases = [_syscall(name, syscall.letters) for (_, name), syscall in SYSCALLS]
    cases += [_other(code, count) for code, count in OTHERS.values()]
    for (_, name), syscall in FEATURED:
        cases.append(_syscall(name, syscall.letters) if featured else _step(len(syscall.letters)))
    imported = (*SYSCALLS, *(FEATURED if featured else ()))
    upgrade = '(func (export "upgrade") (param i32 i32) (result i32) (call $invoke (local.get 0)))' if featured else ""
    blocks = "(block $default " + "".join(f"(block $c{at} " for at in reversed(range(len(cases))))
    labels = " ".join(f"$c{at}" for at in range(len(cases)))
    modulo = f"(i32.rem_u (i32.load8_u (local.get $at)) (i32.const {len(cases)}))"
    bodies = "".join(f") {case} (br $next) " for case in cases)
    own = "".join(f"\\{byte:02x}" for byte in GUEST.to_bytes())
    return wasm(f"""(module
        {imports(*(f"{module}.{name}" for (module, name), _ in imported))}
        (memory (export "memory") 2)
        (table 10 funcref) (elem (i32.const 0) func $recurse $invoke)
        (elem func $recurse $recurse)
        (data (i32.const {SELF}) "{own}")
        (data (i32.const {CONTENT}) "\\82\\01\\40")
        (func $recurse (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1) (call $recurse (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))
        (func $invoke (export "invoke") (param i32) (result i32) (local $at i32) (local $end i32) (local $count i32)
            (drop (call $block_read (i32.const 0) (local.get 0) (i32.const 0) (i32.const {START}) (i32.const 65536)))
            (local.set $end (i32.add (i32.const 131072) (i32.load (i32.const 0))))
            (local.set $at (i32.const {START}))
            (loop $next
                (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 0))))
                {blocks}
                (br_table {labels} $default {modulo})
                {bodies}
            )
            unreachable)
            (i32.const 0))
        {upgrade})""")


def _argument(at: int, count: int) -> str:
    """Return code for the argument at this distance before the next instruction."""
    return f"(i64.load (i32.sub (local.get $at) (i32.const {8 * (count - at)})))"


def _step(count: int) -> str:
    return f"(local.set $at (i32.add (local.get $at) (i32.const {1 + 8 * count})))"


def _syscall(name: str, letters: str) -> str:
    count = len(letters)
    values = (
        _argument(at, count) if letter in "qQ" else f"(i32.wrap_i64 {_argument(at, count)})"
        for at, letter in enumerate(letters)
    )
    return f"{_step(count)} (i32.store (i32.const 16) (call ${name} {' '.join(values)}))"


def _other(code: str, count: int) -> str:
    wide = {f"w{at}": _argument(at, count) for at in range(count)}
    narrow = (f"(i32.wrap_i64 {_argument(at, count)})" for at in range(count))
    return f"{_step(count)} {code.format(*narrow, **wide)}"


# --- programs -------------------------------------------------------------------------------------------------------


def random_operation(rng: Random) -> Operation:
    """Return a random instruction; about half of the arguments are valid."""
    number = rng.randrange(len(NAMES))
    letters = SYSCALLS[number][1].letters if number < len(SYSCALLS) else "I" * COUNTS[number]
    return Operation(number, tuple(_plausible(rng) % 2**64 for _ in letters))


_PLACES = (
    0,
    1,
    2,
    3,
    4,
    SELF,
    BUFFER,
    CONTENT,
    START,
    131_072,
    131_064,
    2**32 - 1,
    0x71,
    0x55,
    0x51,
    0xB220,
    32,
    38,
    100,
)


def _plausible(rng: Random) -> int:
    if rng.random() < 0.75:
        return rng.choice(_PLACES)
    return trees.random_number(rng, rng.choice(_PLACES))


def changed(operations: list[Operation], rng: Random) -> list[Operation]:
    """Return a program with instructions added, removed, moved, or with another argument."""
    operations = list(operations)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(operations) + 1)
        choice = rng.randrange(6)
        if choice < 3 or not operations:
            operations.insert(at, random_operation(rng))
        elif choice == 3:
            del operations[at - 1]
        else:
            one = operations[at - 1]
            arguments = tuple(_plausible(rng) % 2**64 if rng.random() < 0.4 else argument for argument in one.arguments)
            operations[at - 1] = Operation(one.number, arguments)
    return operations[:40]
