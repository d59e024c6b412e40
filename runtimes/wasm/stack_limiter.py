"""The first pass: the stack cost of each function, and the code that counts it.

Every function adds its cost to a counter on entry, traps if the limit is exceeded, and subtracts it on exit. So stack
exhaustion is the same on every machine.

fvm-wasm-instrument, which the network uses, writes this code around each call instead, with a thunk for each exported
function. A guest cannot observe the difference except in prices, which `gas_metering` accounts for. The cost follows
fvm-wasm-instrument 0.4, `stack_limiter`, with its peculiarities: local *groups* are counted, not locals; the height is
sampled before each instruction, but not in unreachable code; `else` changes nothing.
"""

from collections.abc import Sequence
from itertools import accumulate

from hypervisor.errors import InvalidModule
from runtimes.wasm.module.instrumentation import Instructions
from runtimes.wasm.module.opcodes import (
    BLOCK,
    BR,
    BR_IF,
    BR_TABLE,
    CALL,
    CALL_INDIRECT,
    ELSE,
    END,
    IF,
    LOOP,
    NET,
    POPS,
    PUSHES,
    RETURN,
    SELECT,
    UNREACHABLE,
)
from runtimes.wasm.module.parser import FunctionType
from runtimes.wasmtime.encoding import encode_signed, u32

STACK_LIMIT = 2_048
"""Maximum total cost of the functions that are being executed."""

FRAME_COST = 2
"""Initial height of each function's stack."""


class _Height:
    """The height of the value stack while passing through one function.

    `frames` holds [height at entry, results, results of a branch to it, unreachable].
    """

    __slots__ = ("frames", "height", "highest", "results")

    def __init__(self, results: int) -> None:
        self.results = results
        self.height = self.highest = FRAME_COST
        self.frames: list[list[int]] = [[0, results, results, 0]]

    def pop(self, count: int) -> None:
        frame = self.frames[-1]
        if count and not (frame[3] and self.height == frame[0]):
            self.height -= count
            if self.height < 0:
                raise InvalidModule("the stack limiter cannot process a function's unreachable code")

    def leave(self, results: int) -> None:
        """Process an unconditional branch that carries `results` values; the rest of the block is unreachable."""
        self.pop(results)
        self.frames[-1][3] = 1

    def target(self, label: int) -> int:
        """Return the number of values that a branch to `label` carries."""
        if label >= len(self.frames):
            raise InvalidModule("a branch leaves its function")
        return self.frames[-1 - label][2]

    def block(self, op: int, results: int) -> None:
        if op == IF:
            self.pop(1)
        self.frames.append([self.height, results, 0 if op == LOOP else results, 0])

    def end(self) -> None:
        height, results, _, _ = self.frames.pop()
        self.height = height + results

    def call(self, callee: FunctionType) -> None:
        self.pop(len(callee.params))
        self.height += len(callee.results)


def stack_cost(
    body: Instructions,
    local_groups: int,
    results: int,
    types: list[FunctionType],
    functions: list[FunctionType],
) -> int:
    """Return the stack cost of a function: its local groups plus its maximum stack height."""
    state = _Height(results)
    nets = list(accumulate(map(NET.__getitem__, body.ops), initial=0))
    following = 0
    for index, op, _, _, operands in body.marks:
        if following < index or not state.frames[-1][3]:
            _process_straight_line(state, body.ops, nets, following, index)
        _process_mark(state, op, operands, types, functions)
        following = index + 1
    return local_groups + state.highest


def _process_straight_line(state: _Height, ops: Sequence[int], nets: list[int], start: int, end: int) -> None:
    """Process the instructions from `start` to `end`, between two marks.

    `nets[i]` is the height gained before instruction i.
    """
    if state.frames[-1][3]:
        for op in ops[start:end]:
            if op == SELECT:
                state.pop(2)
                state.pop(1)
            else:
                state.pop(POPS[op])
            state.height += PUSHES[op]
        return
    base = state.height - nets[start]
    highest = base + max(nets[start : end + 1])
    if highest > state.highest:
        state.highest = highest
    state.height = base + nets[end]


def _process_mark(
    state: _Height, op: int, operands: tuple[int, ...], types: list[FunctionType], functions: list[FunctionType]
) -> None:
    if op == END:
        state.end()
    elif op in (BLOCK, LOOP, IF):
        state.block(op, operands[0])
    elif op == BR_IF:
        carried = state.target(operands[0])
        state.pop(carried)
        state.pop(1)
        state.height += carried
    elif op == CALL:
        state.call(functions[operands[0]])
    elif op == CALL_INDIRECT:
        state.pop(1)
        state.call(types[operands[0]])
    elif op == BR:
        state.leave(state.target(operands[0]))
    elif op == BR_TABLE:
        state.leave(state.target(operands[-1]))
    elif op == RETURN:
        state.leave(state.results)
    elif op == UNREACHABLE:
        state.leave(0)
    elif op != ELSE:
        state.pop(POPS[op])
        state.height += PUSHES[op]


def on_entry(cost: int, counter: int) -> bytes:
    """Encode: add a function's cost to global `counter` and leave the innermost block if the limit is exceeded."""
    get, set_ = b"\x23" + u32(counter), b"\x24" + u32(counter)
    add = get + b"\x41" + encode_signed(cost) + b"\x6a" + set_
    return add + get + b"\x41" + encode_signed(STACK_LIMIT) + b"\x4b\x0d\x00"  # i32.gt_u, br_if 0


def on_exit(cost: int, counter: int) -> bytes:
    """Encode: subtract a function's cost from global `counter`."""
    return b"\x23" + u32(counter) + b"\x41" + encode_signed(cost) + b"\x6b\x24" + u32(counter)
