"""An instrumented module in the network's own form: charges are function calls, and the stack is counted around calls.

The oracle of `runtimes.wasm.module.encode`, which writes different code with the same effect: tests run both
(`network_form`), or convert ours back into this form (`read_back`).
"""

from runtimes.wasm.module.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module.parser import ExternKind, Section, WasmModule
from runtimes.wasmtime.encoding import encode_signed, name, section, u32, vector
from tests.runtimes.wasm.plain_passes import Instruction, counted_call, disassemble, metered, stack_costs

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
