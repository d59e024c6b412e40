"""A second, simple implementation of the two passes over a module.

- A second, simple implementation of the two passes: one instruction at a time, one pass after the other.
- An instrumented module in the network's own form: charges are function calls, and the stack is counted around calls.

The oracle of `runtimes.wasm.module.encode`; it only shares the parser of sections. An instruction is (opcode,
operands); a two-byte one has the opcode 0xFC and its second byte as the first operand.

The oracle of `runtimes.wasm.module.encode`, which writes different code with the same effect: tests run both
(`network_form`), or convert ours back into this form (`read_back`).
"""

from dataclasses import dataclass, field

from runtimes.wasm.module.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module.parser import ExternKind, FunctionType, Section, WasmModule
from runtimes.wasmtime.encoding import encode_signed, name, section, u32, vector

Instruction = tuple[int, tuple[int, ...]]
FREE = {0x00, 0x01, 0x02, 0x03, 0x05, 0x0B, 0x0F, 0x1A}
LINEAR = {
    (0x40,): 26_214_400, (0xFC, 8): 400, (0xFC, 10): 400, (0xFC, 11): 400, (0xFC, 12): 3_200, (0xFC, 14): 3_200,
    (0xFC, 15): 3_200, (0xFC, 17): 3_200,
}  # fmt: skip


def read_number(code: bytes, at: int, is_signed: bool = False) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = code[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if is_signed and byte & 64:
        value -= 1 << shift
    return value, at


def disassemble(code: bytes) -> list[Instruction]:
    result: list[Instruction] = []
    at = 0
    while at < len(code):
        op = code[at]
        at += 1
        operands: list[int] = []
        signed_count, unsigned_count = 0, 0
        if op in (0x02, 0x03, 0x04):
            operands, at = [code[at]], at + 1
        elif op == 0x0E:
            count, at = read_number(code, at)
            unsigned_count = count + 1
        elif op in (0x0C, 0x0D, 0x10, *range(0x20, 0x27), 0x3F, 0x40):
            unsigned_count = 1
        elif op == 0x11 or 0x28 <= op <= 0x3E:
            unsigned_count = 2
        elif op in (0x41, 0x42):
            signed_count = 1
        elif op in (0x43, 0x44):
            size = 4 if op == 0x43 else 8
            operands, at = [int.from_bytes(code[at : at + size], "little")], at + size
        elif op == 0xFC:
            second, at = read_number(code, at)
            operands = [second]
            unsigned_count = {8: 2, 9: 1, 10: 2, 11: 1, 12: 2, 13: 1, 14: 2, 15: 1, 16: 1, 17: 1}.get(second, 0)
        for _ in range(unsigned_count):
            value, at = read_number(code, at)
            operands.append(value)
        for _ in range(signed_count):
            value, at = read_number(code, at, is_signed=True)
            operands.append(value)
        result.append((op, tuple(operands)))
    return result


# --- the stack limiter ------------------------------------------------------------------------------------------


@dataclass
class Frame:
    polymorphic: bool
    end_arity: int
    branch_arity: int
    start: int


def stack_effect(op: int, operands: tuple[int, ...]) -> tuple[list[int], int]:
    """Return the numbers of values that an instruction without control flow pops, in steps, and pushes."""
    if op == 0xFC:
        second = operands[0]
        table = {15: ([2], 1), 16: ([], 1)}
        return ([1], 1) if second < 8 else ([], 0) if second in (9, 13) else table.get(second, ([3], 0))
    if op == 0x01:
        return [], 0
    if op == 0x1A:
        return [1], 0
    if op == 0x1B:
        return [2, 1], 1
    if op in (0x20, 0x23, 0x3F, 0x41, 0x42, 0x43, 0x44):
        return [], 1
    if op in (0x21, 0x24):
        return [1], 0
    if op == 0x26:
        return [2], 0
    if op == 0x25 or op == 0x22 or 0x28 <= op <= 0x35 or op == 0x40:
        return [1], 1
    if 0x36 <= op <= 0x3E:
        return [2], 0
    unary = (0x45, 0x50, *range(0x67, 0x6A), *range(0x79, 0x7C), *range(0x8B, 0x92), *range(0x99, 0xA0))
    if op in unary or op >= 0xA7:
        return [1], 1
    return [2], 1


class Heights:
    """Maximum height of a function's stack."""

    def __init__(self, module: WasmModule, results: int) -> None:
        self.module = module
        self.results = results
        self.height = 2
        self.maximum = 0
        self.frames = [Frame(False, results, results, 0)]

    def pop(self, count: int) -> None:
        if count == 0:
            return
        if self.height == self.frames[-1].start:
            assert self.frames[-1].polymorphic
            return
        self.height -= count
        assert self.height >= 0

    def call(self, kind: FunctionType) -> None:
        self.pop(len(kind.params))
        self.height += len(kind.results)

    def step(self, op: int, operands: tuple[int, ...]) -> None:
        if self.height > self.maximum and not self.frames[-1].polymorphic:
            self.maximum = self.height
        if op in (0x02, 0x03, 0x04):
            if op == 0x04:
                self.pop(1)
            arity = 0 if operands[0] == 0x40 else 1
            self.frames.append(Frame(False, arity, 0 if op == 0x03 else arity, self.height))
        elif op == 0x05:
            pass
        elif op == 0x0B:
            frame = self.frames.pop()
            self.height = frame.start + frame.end_arity
        elif op == 0x00:
            self.frames[-1].polymorphic = True
        elif op in (0x0C, 0x0E):
            self.pop(self.frames[-1 - operands[-1]].branch_arity)
            self.frames[-1].polymorphic = True
        elif op == 0x0D:
            arity = self.frames[-1 - operands[0]].branch_arity
            self.pop(arity)
            self.pop(1)
            self.height += arity
        elif op == 0x0F:
            self.pop(self.results)
            self.frames[-1].polymorphic = True
        elif op == 0x10:
            self.call(self.module.types[self.module.function_type_indices()[operands[0]]])
        elif op == 0x11:
            self.pop(1)
            self.call(self.module.types[operands[0]])
        else:
            pops, pushes = stack_effect(op, operands)
            for count in pops:
                self.pop(count)
            self.height += pushes


def counted_call(callee: int, cost: int, counter: int) -> list[Instruction]:
    get: Instruction = (0x23, (counter,))
    return [
        get, (0x41, (cost,)), (0x6A, ()), (0x24, (counter,)), get, (0x41, (2048,)), (0x4B, ()), (0x04, (0x40,)),
        (0x00, ()), (0x0B, ()), (0x10, (callee,)), get, (0x41, (cost,)), (0x6B, ()), (0x24, (counter,)),
    ]  # fmt: skip


# --- the gas metering -------------------------------------------------------------------------------------------


@dataclass
class Block:
    start: int
    cost: int = 0


@dataclass
class Control:
    low: int
    block: Block
    is_loop: bool


@dataclass
class Meter:
    """Metered blocks of one function; instruction prices in milligas."""

    prices: dict[int, int] | None = None
    stack: list[Control] = field(default_factory=lambda: [Control(0, Block(0), False)])
    done: list[Block] = field(default_factory=list)
    dynamic: dict[int, int] = field(default_factory=dict)

    def cost(self, op: int, operands: tuple[int, ...], previous: Instruction | None, index: int) -> int:
        base = 0 if op in FREE else 4000
        if self.prices is not None:
            return self.prices.get(op, 1)
        unit = LINEAR.get((op, operands[0]) if op == 0xFC else (op,))
        if unit is None:
            return base
        if previous is not None and previous[0] == 0x41:
            return base + previous[1][0] * unit
        self.dynamic[index] = unit
        return base

    def finish(self, index: int) -> None:
        closed = self.stack[-1].block
        self.stack[-1].block = Block(index + 1)
        if len(self.stack) > 1 and closed.start == self.stack[-2].block.start:
            self.stack[-2].block.cost += closed.cost
        elif closed.cost > 0:
            self.done.append(closed)

    def branch(self, index: int, targets: list[int]) -> None:
        self.finish(index)
        for target in targets:
            if not self.stack[target].is_loop:
                self.stack[-1].low = min(self.stack[-1].low, target)

    def end(self, index: int) -> None:
        self.finish(index)
        closed = self.stack.pop()
        if not self.stack:
            return
        self.stack[-1].low = min(self.stack[-1].low, closed.low)
        if closed.low < len(self.stack):
            self.finish(index)

    def run(self, code: list[Instruction], with_default: bool = False) -> list[tuple[int, int]]:
        """Yield (instruction index, cost) of every charge."""
        previous: Instruction | None = None
        for index, (op, operands) in enumerate(code):
            cost = self.cost(op, operands, previous, index)
            previous = (op, operands)
            if op == 0x0B:
                self.end(index)
                continue
            if op == 0x05:
                self.finish(index)
                continue
            self.stack[-1].block.cost += cost
            top = len(self.stack) - 1
            if op == 0x02:
                self.stack.append(Control(len(self.stack), Block(self.stack[-1].block.start), False))
            elif op in (0x03, 0x04):
                self.stack.append(Control(len(self.stack), Block(index + 1), op == 0x03))
            elif op in (0x0C, 0x0D):
                self.branch(index, [top - operands[0]])
            elif op == 0x0E:
                labels = operands if with_default else operands[:-1]
                self.branch(index, [top - label for label in labels])
            elif op == 0x0F:
                self.branch(index, [0])
        return sorted((block.start, block.cost) for block in self.done)


# --- both, over a module ----------------------------------------------------------------------------------------


def stack_costs(module: WasmModule) -> list[int]:
    """Return the stack cost of every function, 0 for imported ones."""
    costs = [0] * len(module.imported_functions)
    for type_index, body in zip(module.functions, module.bodies, strict=True):
        heights = Heights(module, len(module.types[type_index].results))
        for op, operands in disassemble(module.data[body.code_at : body.end]):
            heights.step(op, operands)
        costs.append(body.local_groups + heights.maximum)
    return costs


def limited(module: WasmModule) -> tuple[list[list[Instruction]], list[int]]:
    """The code of every function, thunks last, after the first pass; and which functions the thunks are for."""
    costs = stack_costs(module)
    counter = len(module.globals)
    bodies = []
    for body in module.bodies:
        code: list[Instruction] = []
        for op, operands in disassemble(module.data[body.code_at : body.end]):
            if op == 0x10 and costs[operands[0]] > 0:
                code += counted_call(operands[0], costs[operands[0]], counter)
            else:
                code.append((op, operands))
        bodies.append(code)
    entered = {export.index for export in module.exports if export.kind == ExternKind.FUNCTION}
    entered |= {index for segment in module.elements for index in segment.functions}
    entered |= {module.start} if module.start is not None else set()
    callees = sorted(index for index in entered if costs[index] > 0)
    for callee in callees:
        params = len(module.types[module.function_type_indices()[callee]].params)
        code = [(0x20, (number,)) for number in range(params)]
        bodies.append([*code, *counted_call(callee, costs[callee], counter), (0x0B, ())])
    return bodies, callees


def metered(module: WasmModule) -> tuple[list[list[Instruction]], list[int]]:
    """The code of every function after both passes; and which functions the thunks are for."""
    bodies, callees = limited(module)
    charge = len(module.imported_functions) + len(bodies)
    result = []
    for position, body in enumerate(bodies):
        code = [(op, (operands[0] + 1,)) if op in (0x23, 0x24) else (op, operands) for op, operands in body]
        meter = Meter()
        charges = dict(meter.run(code))
        temporary = -1
        if meter.dynamic:
            params = len(module.types[module.functions[position]].params)
            temporary = params + module.bodies[position].locals
        out: list[Instruction] = []
        for index, instruction in enumerate(code):
            if index in charges:
                out += [(0x42, (charges[index],)), (0x10, (charge,))]
            if index in meter.dynamic:
                out += [(0x22, (temporary,)), (0x20, (temporary,)), (0xAD, ()), (0x42, (meter.dynamic[index],))]
                out += [(0x7E, ()), (0x10, (charge,))]
            out.append(instruction)
        result.append(out)
    return result, callees


CHARGE_TYPE = b"\x60\x01\x7e\x00"
CHARGE_BODY = bytes.fromhex("00 2300 2000 7d 2400 2300 4200 53 0440 00 0b 0b")


def assemble(code: list[Instruction]) -> bytes:
    """Return the bytes of instructions: the inverse of `disassemble`."""
    out = bytearray()
    for op, operands in code:
        out.append(op)
        if op in (0x02, 0x03, 0x04):
            out.append(operands[0])
        elif op == 0x0E:
            out += u32(len(operands) - 1) + b"".join(map(u32, operands))
        elif op in (0x41, 0x42):
            out += encode_signed(operands[0])
        elif op in (0x43, 0x44):
            out += operands[0].to_bytes(4 if op == 0x43 else 8, "little")
        else:
            out += b"".join(map(u32, operands))
    return bytes(out)


def network_form(module: WasmModule) -> bytes:
    """Return the module as written by the network's passes, except that it exports the gas counter like ours."""
    codes, callees = metered(module)
    defined = len(module.imported_functions) + len(module.bodies)
    thunks = {callee: defined + place for place, callee in enumerate(callees)}
    kinds = module.function_type_indices()
    functions = [*module.functions, *(kinds[callee] for callee in callees), len(module.types)]
    bodies = []
    for position, code in enumerate(codes):
        groups = b"\x00"
        if position < len(module.bodies):
            body = module.bodies[position]
            declared = module.data[body.locals_at : body.code_at]
            groups = u32(body.local_groups + 1) + declared + b"\x01\x7f"  # the temporary does no harm where unused
        bodies.append(groups + assemble(code))
    exports = [
        name(export.name)
        + bytes((export.kind,))
        + u32(thunks.get(export.index, export.index) if export.kind == ExternKind.FUNCTION else export.index)
        for export in module.exports
        if export.kind != ExternKind.GLOBAL
    ]
    exports.append(name(GAS_EXPORT) + b"\x03\x00")
    if module.start is not None:
        exports.append(name(START_EXPORT) + b"\x00" + u32(thunks[module.start]))
    written = {
        Section.TYPE: vector([*_types(module), CHARGE_TYPE]),
        Section.FUNCTION: vector(map(u32, functions)),
        Section.GLOBAL: vector(
            [b"\x7e\x01\x42\x00\x0b", *(item.type + item.init for item in module.globals), b"\x7f\x01\x41\x00\x0b"]
        ),
        Section.EXPORT: vector(exports),
        Section.ELEMENT: vector(
            item.head + vector(u32(thunks.get(index, index)) for index in item.functions) for item in module.elements
        ),
        Section.CODE: vector(u32(len(body)) + body for body in [*bodies, CHARGE_BODY]),
    }
    order = (*range(Section.TYPE, Section.CODE), Section.DATA_COUNT, Section.CODE, Section.DATA)
    parts = [
        section(number, written[number] if number in written else module.raw[number])
        for number in map(Section, order)
        if (number in module.raw or number in written) and number != Section.START
    ]
    return module.data[:8] + b"".join(parts)


def _types(module: WasmModule) -> list[bytes]:
    return [
        b"\x60" + u32(len(item.params)) + item.params + u32(len(item.results)) + item.results for item in module.types
    ]


# --- our form read back --------------------------------------------------------------------------------------------


def read_back(module: WasmModule, result: WasmModule) -> list[list[Instruction]]:
    """Return the code of every function of our instrumented module in the network's form.

    Asserts that every part of ours belongs there. `return` is converted to a branch to the function's label, which ours
    uses.
    """
    costs = stack_costs(module)
    counter = len(module.globals) + 1
    charge = len(module.imported_functions) + len(result.bodies)
    codes = []
    references = {item.function for item in module.globals if item.function is not None}
    defined = len(result.bodies) - len(references)  # functions that stand for references have no like in the network's
    charge -= len(references)
    for position, body in enumerate(result.bodies[:defined]):
        code = disassemble(result.data[body.code_at : body.end])
        if position < len(module.bodies):
            results = module.types[module.functions[position]].results
            code = _unwrapped(code, costs[len(module.imported_functions) + position], counter, results)
        codes.append(_network_code(code, costs, counter, charge))
    return codes


def with_branches_for_returns(code: list[Instruction]) -> list[Instruction]:
    """Return the same code with each `return` written as a branch to the function's label."""
    out, depth = [], 0
    for op, operands in code:
        out.append((0x0C, (depth,)) if op == 0x0F else (op, operands))
        depth += (op in (0x02, 0x03, 0x04)) - (op == 0x0B)
    return out


def _unwrapped(code: list[Instruction], cost: int, counter: int, results: bytes) -> list[Instruction]:
    """Return the code inside the two blocks; assert that the stack is counted before and after it."""
    get, set_ = (0x23, (counter,)), (0x24, (counter,))
    head = [
        (0x02, (0x40,)), get, (0x41, (cost,)), (0x6A, ()), set_, get, (0x41, (2048,)), (0x4B, ()), (0x0D, (0,)),
        (0x02, (results[0] if results else 0x40,)),
    ]  # fmt: skip
    tail = [get, (0x41, (cost,)), (0x6B, ()), set_, (0x0F, ()), (0x0B, ()), (0x00, ()), (0x0B, ())]
    assert code[: len(head)] == head
    assert code[-len(tail) :] == tail
    return code[len(head) : -len(tail)]


def _network_code(code: list[Instruction], costs: list[int], counter: int, charge: int) -> list[Instruction]:
    out: list[Instruction] = []
    index = depth = 0
    while index < len(code):
        op, operands = code[index]
        subtract: list[Instruction] = [(0x7D, ()), (0x24, (0,)), (0x23, (0,)), (0x42, (0,)), (0x53, ())]
        runs_out: list[list[Instruction]] = [[(0x0D, (depth + 1,))], [(0x04, (0x40,)), (0x00, ()), (0x0B, ())]]
        if (op, operands) == (0x23, (0,)):
            amount = code[index + 1]
            assert amount[0] == 0x42
            assert code[index + 2 : index + 7] == subtract
            (ending,) = (end for end in runs_out if code[index + 7 : index + 7 + len(end)] == end)
            out += [amount, (0x10, (charge,))]
            index += 7 + len(ending)
            continue
        if op == 0x22 and code[index + 1] == (0x23, (0,)):
            assert code[index + 2] == (0x20, operands)
            assert code[index + 3] == (0xAD, ())
            assert code[index + 5 : index + 12] == [(0x7E, ()), *subtract, *runs_out[0]]
            out += [(op, operands), *code[index + 2 : index + 6], (0x10, (charge,))]
            index += 12
            continue
        if op == 0x10 and costs[operands[0]] > 0:
            out += counted_call(operands[0], costs[operands[0]], counter)
        else:
            out.append((op, operands))
        depth += (op in (0x02, 0x03, 0x04)) - (op == 0x0B)
        index += 1
    return out
