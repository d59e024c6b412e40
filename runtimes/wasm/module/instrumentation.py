"""The two passes of instrumentation: the stack limit and the gas charges.

Both read a function's instructions in one form. Most instructions only change the stack height and cost their price;
they are stored as one byte each in `ops`. The few that the passes must inspect (control flow, calls, linearly priced
ones) are `marks`, with operands and offsets. Globals are listed separately because their indices shift. wasmtime has
validated the code before.

The first pass computes the stack cost of each function. Every function adds its cost to a counter on entry, traps if
the limit is exceeded, and subtracts it on exit. So stack exhaustion is the same on every machine.
fvm-wasm-instrument, which the network uses, writes this code around each call instead, with a thunk for each exported
function. A guest cannot observe the difference except in prices, which the second pass accounts for. The cost follows
fvm-wasm-instrument 0.4, `stack_limiter`, with its peculiarities: local *groups* are counted, not locals; the height is
sampled before each instruction, but not in unreachable code; `else` changes nothing.

The second pass computes the position and price of each gas charge. A metered block is charged at its beginning; a
linearly priced instruction whose operand is not a constant charges for the operand separately. The network's pass runs
over the output of its stack limiter, so the limiter's instructions cost gas, too: a counted call costs as much as its
thirteen priced instructions. `encode` writes the charges. Rules: fvm-wasm-instrument 0.4, `gas_metering`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from hypervisor.errors import InvalidModule
from runtimes.wasm.module.opcodes import (
    BLOCK,
    BR,
    BR_IF,
    BR_TABLE,
    CALL,
    CALL_INDIRECT,
    ELSE,
    END,
    I32_CONST,
    IF,
    LINEAR_BYTES,
    LOOP,
    MEMORY_GROW,
    NET,
    NETWORK_PRICES,
    POPS,
    PREFIXED_BASE,
    PREFIXED_IS_MARK,
    PREFIXED_OPERANDS,
    PRICE,
    PUSHES,
    RETURN,
    SELECT,
    SHAPE,
    UNREACHABLE,
    Shape,
    WasmPrices,
)
from runtimes.wasm.module.parser import MAX_CODE_BYTES, VALUE_TYPES, FunctionType
from runtimes.wasmtime.encoding import encode_signed, u32

EMPTY_BLOCK = 0x40

Mark = tuple[int, int, int, int, tuple[int, ...]]
"""Instruction index, opcode, offset in the module, offset after it, operands.

Operands: for blocks the number of results (0 or 1), for branches the labels (br_table: the default last), for calls
the index of the function or type, for linearly priced instructions the preceding constant, if any.
"""


@dataclass(frozen=True, slots=True)
class Instructions:
    """A decoded function: opcodes, marks, and (offset, end, opcode, index) of each global.get and global.set."""

    ops: bytearray
    marks: list[Mark]
    globals: list[tuple[int, int, int, int]]


def decode(code: bytes, position: int, end: int, limit: int = MAX_CODE_BYTES) -> Instructions:
    """Decode the instructions of one function; raises InvalidModule for one that consensus does not allow.

    Stops after more than `limit` marks or globals.
    """
    result = Instructions(bytearray(), [], [])
    try:
        position = _decode(code, position, end, result, limit)
        if len(result.marks) > limit or len(result.globals) > limit:
            return result
    except IndexError:
        position = -1
    if position != end:
        raise InvalidModule("a function's code ends unexpectedly")
    return result


def _decode(code: bytes, position: int, end: int, result: Instructions, limit: int) -> int:
    # Hot loop over every byte of every module: local variables instead of attributes, frequent shapes first.
    ops, marks, shapes = result.ops, result.marks, SHAPE
    push, mark = ops.append, marks.append
    while position < end:
        start = position
        op = code[position]
        shape = shapes[op]
        position += 1
        if shape == 1:  # INDEX
            push(op)
            while code[position] > 127:
                position += 1
            position += 1
        elif shape == 0:  # PLAIN
            push(op)
        elif shape == 2:  # MEMORY
            push(op)
            while code[position] > 127:
                position += 1
            position += 1
            while code[position] > 127:
                position += 1
            position += 1
        elif shape == Shape.LABEL or shape == Shape.CALL:
            operand, position = _u32(code, position)
            mark((len(ops), op, start, position, (operand,)))
            push(op)
            if len(marks) > limit:
                return position
        elif shape == Shape.GLOBAL:
            push(op)
            operand, position = _u32(code, position)
            result.globals.append((start, position, op, operand))
            if len(result.globals) > limit:
                return position
        elif shape == Shape.LONG_CONST:
            push(op)
            while code[position] > 127:
                position += 1
            position += 1
        else:
            op, position, operands = _rare(code, position, op, shape, ops)
            if operands is not None:
                mark((len(ops), op, start, position, operands))
                if len(marks) > limit:
                    return position
            push(op)
    return position


def _rare(code: bytes, position: int, op: int, shape: int, ops: bytearray) -> tuple[int, int, tuple[int, ...] | None]:
    """Decode an instruction of a rare shape: return its code, the offset after it, and its operands if it is a mark."""
    if shape == Shape.MARK:
        if op != MEMORY_GROW:
            return op, position, ()
        return op, position + 1, _constant_before(code, position - 1, ops)
    if shape == Shape.BLOCK:
        kind = code[position]
        if kind != EMPTY_BLOCK and kind not in VALUE_TYPES:
            raise InvalidModule(f"WASM module, offset {position}: a block may only have one result or none")
        return op, position + 1, (0 if kind == EMPTY_BLOCK else 1,)
    if shape == Shape.BR_TABLE:
        count, position = _u32(code, position)
        labels = []
        for _ in range(count + 1):
            label, position = _u32(code, position)
            labels.append(label)
        return op, position, tuple(labels)
    if shape == Shape.CALL_INDIRECT:
        type_index, position = _u32(code, position)
        table, position = _u32(code, position)
        if table != 0:
            raise InvalidModule(f"WASM module, offset {position}: an indirect call uses a table other than the first")
        return op, position, (type_index,)
    if shape == Shape.PREFIX:
        return _read_prefixed(code, position, ops)
    if shape in (Shape.FLOAT, Shape.DOUBLE, Shape.ZERO):
        return op, position + {Shape.FLOAT: 4, Shape.DOUBLE: 8, Shape.ZERO: 1}[Shape(shape)], None
    raise InvalidModule(f"WASM module, offset {position - 1}: instruction 0x{op:02x} is not allowed by consensus")


def _read_prefixed(code: bytes, position: int, ops: bytearray) -> tuple[int, int, tuple[int, ...] | None]:
    start = position - 1
    second, position = _u32(code, position)
    if second >= len(PREFIXED_OPERANDS):
        raise InvalidModule(f"WASM module, offset {start}: instruction 0xfc {second} is not allowed by consensus")
    for _ in range(PREFIXED_OPERANDS[second]):
        _, position = _u32(code, position)
    operands = _constant_before(code, start, ops) if PREFIXED_IS_MARK[second] else None
    return PREFIXED_BASE + second, position, operands


def _constant_before(code: bytes, position: int, ops: bytearray) -> tuple[int, ...]:
    """Return the value of an i32.const directly before `position`, or an empty tuple."""
    if not ops or ops[-1] != I32_CONST:
        return ()
    start = position - 1
    while code[start - 1] > 127:  # every byte of the number but its last has the top bit set
        start -= 1
    value = shift = 0
    for byte in code[start:position]:
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value - (1 << shift) if code[position - 1] & 0x40 else value,)


def _u32(code: bytes, position: int) -> tuple[int, int]:
    byte = code[position]
    position += 1
    if byte < 128:
        return byte, position
    value, shift = byte & 0x7F, 7
    while byte > 127:
        byte = code[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, position


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


COUNTED_CALL = 13
"""Number of priced instructions for a call of a function of the module itself.

The network's stack limiter replaces such a call by fifteen instructions: they add the callee's stack height to a
counter, check the counter, call the function, and subtract the height. Two of them (`unreachable`, `end`) are free.
"""

_STRAIGHT = [count if op != CALL else 0 for op, count in enumerate(PRICE)]


@dataclass(frozen=True, slots=True)
class Charges:
    """The charges and returns of one function.

    `blocks` holds (offset in the module, milligas, depth) of each metered block, in the order of the offsets;
    `operands` (offset, milligas per unit, depth) of each instruction that charges for its operand at run time;
    `returns` (offset, offset after, depth) of each `return`. Depth is the number of open control blocks.
    """

    blocks: list[tuple[int, int, int]]
    operands: list[tuple[int, int, int]]
    returns: list[tuple[int, int, int]]


class _Control:
    """An open control block.

    Holds its current metered block (start index, start offset and depth, price so far), and the outermost control
    block that a branch inside of it targets.
    """

    __slots__ = ("depth", "farthest", "is_loop", "offset", "price", "start")

    def __init__(self, farthest: int, start: int, offset: int, depth: int, is_loop: bool) -> None:
        self.farthest = farthest
        self.start = start
        self.offset = offset
        self.depth = depth
        self.price = 0
        self.is_loop = is_loop


class _Meter:
    """State of the metering algorithm. The function itself is control block 0; indices count from the outside."""

    def __init__(self, offset: int) -> None:
        self.stack = [_Control(0, 0, offset, 0, False)]
        self.blocks: list[tuple[int, int, int]] = []

    def open(self, start: int, offset: int, depth: int, is_loop: bool) -> None:
        self.stack.append(_Control(len(self.stack), start, offset, depth, is_loop))

    def finish(self, index: int, offset: int) -> None:
        """End the metered block of the innermost control block; a new one begins after instruction `index`."""
        stack = self.stack
        top = stack[-1]
        start, begun_at, price, depth = top.start, top.offset, top.price, top.depth
        top.start, top.offset, top.price, top.depth = index + 1, offset, 0, len(stack) - 1
        if len(stack) > 1 and stack[-2].start == start:
            stack[-2].price += price  # no branch between the two beginnings: charged together
        elif price:
            self.blocks.append((begun_at, price, depth))

    def close(self, index: int, offset: int) -> None:
        self.finish(index, offset)
        closed = self.stack.pop()
        if not self.stack:
            return
        top = self.stack[-1]
        if closed.farthest < top.farthest:
            top.farthest = closed.farthest
        if closed.farthest < len(self.stack):
            self.finish(index, offset)

    def branch(self, index: int, offset: int, targets: list[int]) -> None:
        self.finish(index, offset)
        top = self.stack[-1]
        for target in targets:
            if target < 0:
                raise InvalidModule("a branch leaves its function")
            if not self.stack[target].is_loop and target < top.farthest:
                top.farthest = target


def charges(body: Instructions, code_at: int, imported: int, prices: WasmPrices = NETWORK_PRICES) -> Charges:
    """Return the charges of one function whose code begins at `code_at`; functions below `imported` are imported."""
    each = prices.instruction
    meter = _Meter(code_at)
    operand_charges: list[tuple[int, int, int]] = []
    returns: list[tuple[int, int, int]] = []
    counts = list(accumulate(map(_STRAIGHT.__getitem__, body.ops), initial=0))
    paid = 0
    for index, op, offset, behind, operands in body.marks:
        top = meter.stack[-1]
        top.price += each * (counts[index + 1] - paid)
        paid = counts[index + 1]
        if op == CALL:
            top.price += each if operands[0] < imported else COUNTED_CALL * each
        elif op == END:
            meter.close(index, behind)
        elif op in (BR, BR_IF, BR_TABLE, RETURN):
            if op == RETURN:
                returns.append((offset, behind, len(meter.stack) - 1))
            meter.branch(index, behind, _targets(op, operands, len(meter.stack) - 1))
        elif op == BLOCK:
            meter.open(top.start, top.offset, top.depth, False)
        elif op in (IF, LOOP):
            meter.open(index + 1, behind, len(meter.stack), op == LOOP)
        elif op == ELSE:
            meter.finish(index, behind)
        elif op in LINEAR_BYTES:
            unit = LINEAR_BYTES[op] * prices.memory_byte
            if operands:
                top.price += _linear(unit, operands[0])
            else:
                operand_charges.append((offset, unit, len(meter.stack) - 1))
    return Charges(sorted(meter.blocks), operand_charges, returns)


def _targets(op: int, labels: tuple[int, ...], innermost: int) -> list[int]:
    if op == RETURN:
        return [0]
    if op == BR_TABLE:
        labels = labels[:-1]  # the network's pass ignores the default label; this is consensus
    return [innermost - label for label in labels]


def _linear(unit: int, operand: int) -> int:
    """Return the price of a linearly priced instruction with a constant operand."""
    if operand < 0:
        raise InvalidModule("a linearly priced instruction has a negative constant operand")
    return operand * unit
