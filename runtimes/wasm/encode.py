"""Writes an instrumented module: the original's sections with the code of the two passes put in.

The gas counter is a global of the module itself (index 0, exported under `GAS_EXPORT`) where the network's pass
imports one: each invocation has a store of its own, and an import would tie the pre-linked instance to one store. All
indices, and so all charges, are the same. New functions follow the module's own: thunks in the order of their callees,
then the charging function. Custom sections are dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass

from runtimes.wasm import opcodes
from runtimes.wasm.binary import name, section, signed, u32, vector
from runtimes.wasm.code import Instructions
from runtimes.wasm.gas_metering import Charges
from runtimes.wasm.module import FunctionBody, FunctionType, Kind, Module, Section
from runtimes.wasm.stack_limiter import counted_call, thunk

GAS_EXPORT = "\0gas"
GAS_GLOBAL = 0
CHARGE_TYPE = FunctionType(b"\x7e", b"")

# counter -= argument; trap where it is negative now
CHARGE_BODY = b"\x00\x23\x00\x20\x00\x7d\x24\x00\x23\x00\x42\x00\x53\x04\x40\x00\x0b\x0b"


@dataclass(frozen=True, slots=True)
class Instrumented:
    """What the passes found out about one function."""

    instructions: Instructions
    charges: Charges


class Encoder:
    """Encodes one module. `stack_costs` are by function index, 0 for imported functions."""

    def __init__(self, module: Module, functions: list[Instrumented], stack_costs: list[int]) -> None:
        self.module = module
        self.functions = functions
        self.stack_costs = stack_costs
        self.imported = len(stack_costs) - len(functions)
        self.height_global = len(module.globals) + 1
        self.thunks = self._thunks()
        self.charge_function = len(stack_costs) + len(self.thunks)
        self._charges: dict[int, bytes] = {}
        self._calls: dict[int, bytes] = {}

    def encode(self) -> bytes:
        """The instrumented module."""
        rewritten: dict[int, Callable[[], bytes]] = {
            Section.TYPE: self._type_section,
            Section.FUNCTION: self._function_section,
            Section.GLOBAL: self._global_section,
            Section.EXPORT: self._export_section,
            Section.ELEMENT: self._element_section,
            Section.CODE: self._code_section,
        }
        present = set(self.module.raw) | {Section.TYPE, Section.FUNCTION, Section.GLOBAL, Section.EXPORT, Section.CODE}
        order = (*range(Section.TYPE, Section.CODE), Section.DATA_COUNT, Section.CODE, Section.DATA)
        sections = [
            section(number, rewritten[number]() if number in rewritten else self.module.raw[number])
            for number in order
            if number in present
        ]
        return self.module.data[:8] + b"".join(sections)

    def _thunks(self) -> dict[int, int]:
        """The index of the thunk of every function that can be entered from outside."""
        entered = {export.index for export in self.module.exports if export.kind == Kind.FUNCTION}
        for segment in self.module.elements:
            entered.update(segment.functions)
        callees = sorted(index for index in entered if self.stack_costs[index])
        return {callee: len(self.stack_costs) + position for position, callee in enumerate(callees)}

    def _charge_type(self) -> int:
        types = self.module.types
        return types.index(CHARGE_TYPE) if CHARGE_TYPE in types else len(types)

    def _type_section(self) -> bytes:
        types = [*self.module.types]
        if self._charge_type() == len(types):
            types.append(CHARGE_TYPE)
        return vector(
            b"\x60" + u32(len(item.params)) + item.params + u32(len(item.results)) + item.results for item in types
        )

    def _function_section(self) -> bytes:
        indices = self.module.function_type_indices()
        thunk_types = [indices[callee] for callee in self.thunks]
        return vector(u32(index) for index in [*self.module.functions, *thunk_types, self._charge_type()])

    def _global_section(self) -> bytes:
        gas, height = b"\x7e\x01\x42\x00\x0b", b"\x7f\x01\x41\x00\x0b"
        return vector([gas, *(item.type + item.init for item in self.module.globals), height])

    def _export_section(self) -> bytes:
        exports = []
        for export in self.module.exports:
            index = export.index
            if export.kind == Kind.FUNCTION:
                index = self.thunks.get(index, index)
            elif export.kind == Kind.GLOBAL:
                index += 1
            exports.append(name(export.name) + bytes((export.kind,)) + u32(index))
        exports.append(name(GAS_EXPORT) + bytes((Kind.GLOBAL, GAS_GLOBAL)))
        return vector(exports)

    def _element_section(self) -> bytes:
        return vector(
            segment.head + vector(u32(self.thunks.get(index, index)) for index in segment.functions)
            for segment in self.module.elements
        )

    def _code_section(self) -> bytes:
        bodies = [self._body(index) for index in range(len(self.functions))]
        indices = self.module.function_type_indices()
        for callee in self.thunks:
            params = len(self.module.types[indices[callee]].params)
            code = thunk(callee, self.stack_costs[callee], self.height_global, params)
            price = opcodes.INSTRUCTION_PRICE * (params + 13)
            bodies.append(b"\x00" + self._charge(price) + code)
        bodies.append(CHARGE_BODY)
        return vector(u32(len(body)) + body for body in bodies)

    def _body(self, position: int) -> bytes:
        body, function = self.module.bodies[position], self.functions[position]
        data = self.module.data
        pieces = [self._locals(body, bool(function.charges.operands))]
        at = body.code_at
        for start, end, text in self._edits(position):
            pieces += data[at:start], text
            at = end
        pieces.append(data[at : body.end])
        return b"".join(pieces)

    def _locals(self, body: FunctionBody, needs_temporary: bool) -> bytes:
        declared = self.module.data[body.locals_at : body.code_at]
        if needs_temporary:
            return u32(body.local_groups + 1) + declared + b"\x01\x7f"
        return u32(body.local_groups) + declared

    def _edits(self, position: int) -> list[tuple[int, int, bytes]]:
        """(start, end, replacement) in the module's bytes, in order; charges stand before what they pay for."""
        function = self.functions[position]
        edits = [(offset, offset, self._charge(price)) for offset, price in function.charges.blocks]
        if function.charges.operands:
            temporary = self._temporary(position)
            edits += [(at, at, self._operand_charge(temporary, unit)) for at, unit in function.charges.operands]
        for start, end, op, index in function.instructions.globals:
            edits.append((start, end, bytes((op,)) + u32(index + 1)))
        for _, op, start, end, operands in function.instructions.marks:
            if op == opcodes.CALL and operands[0] >= self.imported:
                edits.append((start, end, self._counted_call(operands[0])))
        # A block's charge, an operand's charge and a replacement may begin at one offset; the sort keeps their order.
        edits.sort(key=lambda edit: edit[0])
        return edits

    def _temporary(self, position: int) -> int:
        kind = self.module.types[self.module.functions[position]]
        return len(kind.params) + self.module.bodies[position].locals

    def _charge(self, price: int) -> bytes:
        code = self._charges.get(price)
        if code is None:
            code = self._charges[price] = b"\x42" + signed(price) + b"\x10" + u32(self.charge_function)
        return code

    def _operand_charge(self, temporary: int, unit: int) -> bytes:
        local = u32(temporary)
        return b"\x22" + local + b"\x20" + local + b"\xad\x42" + signed(unit) + b"\x7e\x10" + u32(self.charge_function)

    def _counted_call(self, callee: int) -> bytes:
        code = self._calls.get(callee)
        if code is None:
            code = counted_call(callee, self.stack_costs[callee], self.height_global)
            self._calls[callee] = code
        return code
