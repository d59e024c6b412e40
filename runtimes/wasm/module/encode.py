"""Encoder of instrumented modules: the original sections with the code of both passes inserted.

The amounts charged and the order of charges and traps are the network's; the code that does it is not. The gas counter
is a global of the module itself (index 0, exported as `GAS_EXPORT`); the network's pass imports one, which would tie a
pre-linked instance to one store. A charge is inlined where the network's pass calls a function, and the stack is
counted inside a function instead of around its calls, which makes guests a third faster. A function becomes

    block                               ; left when gas or stack is exhausted
      <add to the stack count>
      block (result of the function)    ; replaces the function's own label, so no branch changes
        <code; each `return` is a branch to the end of this block>
      end
      <subtract from the stack count>  return
    end
    unreachable

The network's pass adds a thunk for each function that is entered from outside (exports, tables, the start function),
and guests pay for it. Such a function therefore has a thunk here, too, which charges and calls. A reference in a global
bypasses the network's thunks, so neither gas nor stack is counted there: it refers to an added function that subtracts
the callee's stack cost first. Added functions follow the module's own. The start function becomes an export because the
gas counter must be set before it runs. Custom sections are dropped. Compiled modules are cached under `REVISION`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hypervisor.errors import InvalidModule
from runtimes.wasm.module import opcodes
from runtimes.wasm.module.instrumentation import (
    COUNTED_CALL,
    Charges,
    Instructions,
    charges,
    decode,
    on_entry,
    on_exit,
    stack_cost,
)
from runtimes.wasm.module.opcodes import NETWORK_PRICES, WasmPrices
from runtimes.wasm.module.parser import ExternKind, FunctionBody, Global, Section, WasmModule
from runtimes.wasmtime.encoding import encode_signed, name, section, u32, vector

GAS_EXPORT = "\0gas"
START_EXPORT = "\0start"
GAS_GLOBAL = 0

_BLOCK, _EMPTY, _END, _BRANCH, _UNREACHABLE, _REF_FUNC = b"\x02", b"\x40", b"\x0b", b"\x0c", b"\x00", b"\xd2"
_COUNTER = b"\x23\x00"
# counter -= the number on the stack; is it negative now?
_SUBTRACT = b"\x7d\x24\x00" + _COUNTER + b"\x42\x00\x53"
_BRANCH_IF = b"\x0d"


@dataclass(frozen=True, slots=True)
class Instrumented:
    """Result of the two passes for one function."""

    instructions: Instructions
    charges: Charges


class Encoder:
    """Encoder for one module. `stack_costs` is by function index, 0 for imported functions; prices are in milligas."""

    def __init__(
        self,
        module: WasmModule,
        functions: list[Instrumented],
        stack_costs: list[int],
        instruction_price: int = opcodes.NETWORK_PRICES.instruction,
    ) -> None:
        self.instruction_price = instruction_price
        self.module = module
        self.functions = functions
        self.stack_costs = stack_costs
        self.imported = len(stack_costs) - len(functions)
        self.height_global = self._height_global()
        self.thunks = self._thunks()
        self.uncounted = self._thunks_of()
        self._charges: dict[tuple[int, int], bytes] = {}

    def encode(self) -> bytes:
        rewritten: dict[int, Callable[[], bytes]] = {
            Section.FUNCTION: self._function_section,
            Section.GLOBAL: self._global_section,
            Section.EXPORT: self._export_section,
            Section.ELEMENT: self._element_section,
            Section.CODE: self._code_section,
            **self._more_sections(),
        }
        present = set(self.module.raw) | {Section.GLOBAL, Section.EXPORT, *self._more_sections()}
        order = (*range(Section.TYPE, Section.CODE), Section.DATA_COUNT, Section.CODE, Section.DATA)
        sections = [
            section(number, rewritten[number]() if number in rewritten else self.module.raw[number])
            for number in order
            if number in present and number != Section.START
        ]
        return self.module.data[:8] + b"".join(sections)

    def _thunks(self) -> dict[int, int]:
        """Return the index of the thunk for every function that can be entered from outside."""
        entered = {export.index for export in self.module.exports if export.kind == ExternKind.FUNCTION}
        for segment in self.module.elements:
            entered.update(segment.functions)
        if self.module.start is not None:
            entered.add(self.module.start)
        callees = sorted(index for index in entered if self.stack_costs[index])
        return {callee: len(self.stack_costs) + position for position, callee in enumerate(callees)}

    def _thunks_of(self) -> dict[int, int]:
        """Return, for each function referred to by a global, the index of the function that replaces it."""
        first = len(self.stack_costs) + len(self.thunks)
        referred = {item.function for item in self.module.globals if item.function is not None}
        callees = sorted(index for index in referred if self.stack_costs[index])
        return {callee: first + position for position, callee in enumerate(callees)}

    def _function_section(self) -> bytes:
        indices = self.module.function_type_indices()
        added = [indices[callee] for callee in (*self.thunks, *self.uncounted)]
        return vector(u32(index) for index in [*self.module.functions, *added])

    def _global_section(self) -> bytes:
        gas, height = b"\x7e\x01\x42\x00\x0b", b"\x7f\x01\x41\x00\x0b"
        return vector([gas, *map(self._global, self.module.globals), height])

    def _global(self, item: Global) -> bytes:
        if item.function is None:
            return item.type + item.init
        return item.type + _REF_FUNC + u32(self.uncounted.get(item.function, item.function)) + _END

    def _export_section(self) -> bytes:
        exports = []
        for export in self.module.exports:
            index = export.index
            if export.kind == ExternKind.FUNCTION:
                index = self.thunks.get(index, index)
            elif export.kind == ExternKind.GLOBAL:
                index += self._first_global()
            exports.append(name(export.name) + bytes((export.kind,)) + u32(index))
        exports.append(name(GAS_EXPORT) + bytes((ExternKind.GLOBAL, GAS_GLOBAL)))
        if self.module.start is not None:
            start = self.thunks.get(self.module.start, self.module.start)
            exports.append(name(START_EXPORT) + bytes((ExternKind.FUNCTION,)) + u32(start))
        return vector(exports)

    def _element_section(self) -> bytes:
        return vector(
            segment.head + vector(u32(self.thunks.get(index, index)) for index in segment.functions)
            for segment in self.module.elements
        )

    def _code_section(self) -> bytes:
        bodies = [self._body(index) for index in range(len(self.functions))]
        bodies += [self._thunk(callee) for callee in self.thunks]
        bodies += [self._uncounted_call(callee) for callee in self.uncounted]
        return vector(u32(len(body)) + body for body in bodies)

    def _thunk(self, callee: int) -> bytes:
        params = self._params(callee)
        price = (COUNTED_CALL + params) * self.instruction_price
        run_out = b"\x04\x40" + _UNREACHABLE + _END  # if: unreachable
        charge = _COUNTER + b"\x42" + encode_signed(price) + _SUBTRACT + run_out
        return b"\x00" + charge + _call(callee, params) + _END

    def _uncounted_call(self, callee: int) -> bytes:
        cost, params = self.stack_costs[callee], self._params(callee)
        before, after = on_exit(cost, self.height_global), on_exit(-cost, self.height_global)
        return b"\x00" + before + _call(callee, params) + after + _END

    def _params(self, callee: int) -> int:
        return len(self.module.types[self.module.function_type_indices()[callee]].params)

    def _body(self, position: int) -> bytes:
        body, function = self.module.bodies[position], self.functions[position]
        data = self.module.data
        results = self.module.types[self.module.functions[position]].results
        cost = self.stack_costs[self.imported + position]
        pieces = [
            self._locals(body, bool(function.charges.operands)),
            self._prologue(position),
            _BLOCK + _EMPTY + on_entry(cost, self.height_global) + _BLOCK + (results or _EMPTY),
        ]
        at = body.code_at
        for start, end, text in self._edits(position):
            pieces += data[at:start], text
            at = end
        pieces.append(data[at : body.end])
        left = on_exit(cost, self.height_global) + self._epilogue(position)
        pieces.append(left + b"\x0f" + _END + _UNREACHABLE + _END)
        return b"".join(pieces)

    def _locals(self, body: FunctionBody, needs_temporary: bool) -> bytes:
        declared = self.module.data[body.locals_at : body.code_at]
        added = [b"\x01\x7f"] if needs_temporary else []
        own = self._own_locals()
        if own:
            added.append(own)
        return u32(body.local_groups + len(added)) + declared + b"".join(added)

    # Hooks for other encoders: the location of the counters (`linked_encode`) and code inserted into functions
    # (`profiled_code`). The defaults insert nothing.

    def _first_global(self) -> int:
        """Return the index of the first of the module's own globals."""
        return GAS_GLOBAL + 1

    def _height_global(self) -> int:
        """Return the index of the global that counts the stack."""
        return len(self.module.globals) + 1

    def _more_sections(self) -> dict[int, Callable[[], bytes]]:
        return {}

    def _own_locals(self) -> bytes:
        """Return one more group of local variables, placed after the existing ones."""
        return b""

    def _prologue(self, position: int) -> bytes:
        """Return code to insert before a function's own code."""
        return b""

    def _epilogue(self, position: int) -> bytes:
        """Return code to insert before a function returns."""
        return b""

    def _edits(self, position: int) -> list[tuple[int, int, bytes]]:
        """Return (start, end, replacement) in the module's bytes, in order; a charge precedes the code it pays for."""
        function = self.functions[position]
        charges, moved = function.charges, self._first_global()
        edits = [(offset, offset, self._charge(price, depth)) for offset, price, depth in charges.blocks]
        if charges.operands:
            temporary = self._temporary(position)
            edits += [(at, at, _operand_charge(temporary, unit, depth)) for at, unit, depth in charges.operands]
        for start, end, op, index in function.instructions.globals:
            edits.append((start, end, bytes((op,)) + u32(index + moved)))
        edits += [(start, end, _BRANCH + u32(depth)) for start, end, depth in charges.returns]
        # A block's charge, an operand's charge and a replacement may begin at one offset; the sort keeps their order.
        edits.sort(key=lambda edit: edit[0])
        return edits

    def _temporary(self, position: int) -> int:
        kind = self.module.types[self.module.functions[position]]
        return len(kind.params) + self.module.bodies[position].locals

    def _charge(self, price: int, depth: int) -> bytes:
        code = self._charges.get((price, depth))
        if code is None:
            code = _COUNTER + b"\x42" + encode_signed(price) + _SUBTRACT + _BRANCH_IF + u32(depth + 1)
            self._charges[price, depth] = code
        return code


def _call(callee: int, params: int) -> bytes:
    """Encode a call that passes on the caller's own parameters."""
    return b"".join(b"\x20" + u32(index) for index in range(params)) + b"\x10" + u32(callee)


def _operand_charge(temporary: int, unit: int, depth: int) -> bytes:
    local = u32(temporary)
    amount = b"\x20" + local + b"\xad\x42" + encode_signed(unit) + b"\x7e"  # local, as an unsigned number, times unit
    return b"\x22" + local + _COUNTER + amount + _SUBTRACT + _BRANCH_IF + u32(depth + 1)


REVISION = 4
"""Version of `validate` and the passes; increase it whenever their results change, to rebuild cached modules."""


def instrument(module: WasmModule, prices: WasmPrices = NETWORK_PRICES, encoder: type[Encoder] = Encoder) -> bytes:
    """Return the instrumented form of a module that `validate` and wasmtime accepted; raises InvalidModule."""
    types = module.types
    signatures = [types[index] for index in module.function_type_indices()]
    imported = len(signatures) - len(module.functions)
    functions: list[Instrumented] = []
    costs = [0] * imported
    try:
        for signature, body in zip(signatures[imported:], module.bodies, strict=True):
            instructions = decode(module.data, body.code_at, body.end)
            results = len(signature.results)
            costs.append(stack_cost(instructions, body.local_groups, results, types, signatures))
            functions.append(Instrumented(instructions, charges(instructions, body.code_at, imported, prices)))
    except IndexError:
        raise InvalidModule("a function's control flow or an index in it is invalid") from None
    return encoder(module, functions, costs, prices.instruction).encode()
