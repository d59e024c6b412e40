"""The second pass: the position and price of each gas charge.

A metered block is charged at its beginning; a linearly priced instruction whose operand is not a constant charges for
the operand separately. The network's pass runs over the output of its stack limiter, so the limiter's instructions cost
gas, too: a counted call costs as much as its thirteen priced instructions. `encode` writes the charges.
Rules: fvm-wasm-instrument 0.4, `gas_metering`.
"""

from dataclasses import dataclass
from itertools import accumulate

from hypervisor.errors import InvalidModule
from runtimes.wasm.module.instrumentation import Instructions
from runtimes.wasm.module.opcodes import (
    BLOCK,
    BR,
    BR_IF,
    BR_TABLE,
    CALL,
    ELSE,
    END,
    IF,
    LINEAR_BYTES,
    LOOP,
    NETWORK_PRICES,
    PRICE,
    RETURN,
    WasmPrices,
)

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
