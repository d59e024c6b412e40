"""The two passes over a whole module: limit the stack, meter the gas, encode the result.

Compiled modules are cached under `REVISION`.
"""

from hypervisor.errors import InvalidModule
from runtimes.wasm.gas_metering import charges
from runtimes.wasm.module.encode import Encoder, Instrumented
from runtimes.wasm.module.instrumentation import decode
from runtimes.wasm.module.opcodes import NETWORK_PRICES, WasmPrices
from runtimes.wasm.module.parser import WasmModule
from runtimes.wasm.stack_limiter import stack_cost

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
