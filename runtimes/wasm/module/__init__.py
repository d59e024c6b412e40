"""WASM modules: parsing, opcodes and instrumentation.

The rules of consensus are in `runtimes.wasm.validate`. Read `parser`, `instrumentation` and `encode` first.
"""
