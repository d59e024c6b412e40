"""The second pass: which blocks of code are paid for where.

A metered block is paid for at its beginning, by a call of the charging function that the encoder adds; a linearly
priced instruction whose operand is not a constant pays for the operand on its own. The pass runs over the code of the
stack limiter, so that one's instructions cost gas too: a counted call costs as much as its thirteen priced
instructions. Rules: fvm-wasm-instrument 0.4, `gas_metering`.
"""

from dataclasses import dataclass
from itertools import accumulate

from hypervisor.errors import InvalidModule
from runtimes.wasm.code import Instructions
from runtimes.wasm.opcodes import (
    BLOCK,
    BR,
    BR_IF,
    BR_TABLE,
    CALL,
    ELSE,
    END,
    IF,
    INSTRUCTION_PRICE,
    LINEAR_PRICE,
    LOOP,
    PRICE,
    RETURN,
)

COUNTED_CALL_PRICE = 13 * INSTRUCTION_PRICE
"""`stack_limiter.counted_call`: fifteen instructions, of which unreachable and end are free."""

_STRAIGHT_PRICE = [price if op != CALL else 0 for op, price in enumerate(PRICE)]


@dataclass(frozen=True, slots=True)
class Charges:
    """What a function pays: (offset in the module, milligas) of each block, in the order of the offsets; and
    (offset, milligas a unit) of each instruction that pays for its operand when it runs."""

    blocks: list[tuple[int, int]]
    operands: list[tuple[int, int]]


class _Control:
    """An open control block: its metered block (start index, start offset, price so far) and how far it may branch."""

    __slots__ = ("farthest", "is_loop", "offset", "price", "start")

    def __init__(self, farthest: int, start: int, offset: int, is_loop: bool) -> None:
        self.farthest = farthest
        self.start = start
        self.offset = offset
        self.price = 0
        self.is_loop = is_loop


class _Meter:
    """The algorithm's state. The function itself is control block 0; indices count from the outside."""

    def __init__(self, offset: int) -> None:
        self.stack = [_Control(0, 0, offset, False)]
        self.blocks: list[tuple[int, int]] = []

    def open(self, start: int, offset: int, is_loop: bool) -> None:
        self.stack.append(_Control(len(self.stack), start, offset, is_loop))

    def finish(self, index: int, offset: int) -> None:
        """End the metered block of the innermost control block; a new one begins behind instruction `index`."""
        stack = self.stack
        top = stack[-1]
        start, begun_at, price = top.start, top.offset, top.price
        top.start, top.offset, top.price = index + 1, offset, 0
        if len(stack) > 1 and stack[-2].start == start:
            stack[-2].price += price  # nothing branches between the two beginnings: paid for together
        elif price:
            self.blocks.append((begun_at, price))

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


def charges(body: Instructions, code_at: int, imported: int) -> Charges:
    """The charges of one function whose code begins at `code_at`; functions below `imported` are the host's."""
    meter = _Meter(code_at)
    operand_charges: list[tuple[int, int]] = []
    prices = list(accumulate(map(_STRAIGHT_PRICE.__getitem__, body.ops), initial=0))
    paid = 0
    for index, op, offset, behind, operands in body.marks:
        top = meter.stack[-1]
        top.price += prices[index + 1] - paid
        paid = prices[index + 1]
        if op == CALL:
            top.price += INSTRUCTION_PRICE if operands[0] < imported else COUNTED_CALL_PRICE
        elif op == END:
            meter.close(index, behind)
        elif op in (BR, BR_IF, BR_TABLE, RETURN):
            meter.branch(index, behind, _targets(op, operands, len(meter.stack) - 1))
        elif op == BLOCK:
            meter.open(top.start, top.offset, False)
        elif op in (IF, LOOP):
            meter.open(index + 1, behind, op == LOOP)
        elif op == ELSE:
            meter.finish(index, behind)
        elif op in LINEAR_PRICE:
            top.price += _linear(op, operands, offset, operand_charges)
    return Charges(sorted(meter.blocks), operand_charges)


def _targets(op: int, labels: tuple[int, ...], innermost: int) -> list[int]:
    if op == RETURN:
        return [0]
    if op == BR_TABLE:
        labels = labels[:-1]  # the network's pass overlooks the default label: that is consensus now
    return [innermost - label for label in labels]


def _linear(op: int, operands: tuple[int, ...], offset: int, later: list[tuple[int, int]]) -> int:
    """The part of a linear price that is known now; what is not goes to `later`."""
    unit = LINEAR_PRICE[op]
    if not operands:
        later.append((offset, unit))
        return 0
    if operands[0] < 0:
        raise InvalidModule("a linearly priced instruction has a negative constant operand")
    return operands[0] * unit
