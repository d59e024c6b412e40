"""The modules of profiled runs: they record their call tree and are compiled by a separate engine."""

from __future__ import annotations

from pathlib import Path

from runtimes.wasm.boundary import Boundary
from runtimes.wasm.module import encode
from runtimes.wasm.module.opcodes import WasmPrices
from runtimes.wasm.module.parser import WasmModule
from runtimes.wasm.modules import GuestModules
from runtimes.wasm.profiled_code import REVISION, ProfilingBoundary, ProfilingEncoder
from runtimes.wasm.syscalls.abi import Revision
from runtimes.wasmtime.cache import ModuleCache
from runtimes.wasmtime.engine import profiling_engine


class ProfiledModules(GuestModules):
    """A `GuestModules` for profiled runs; their disk cache must not evict plain modules."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__(profiling_engine(), ModuleCache(None if folder is None else folder / f"profiled-{REVISION}"))

    def _open(self, revision: Revision) -> Boundary:
        return ProfilingBoundary(self._engine, revision)

    def _instrument(self, module: WasmModule, prices: WasmPrices) -> bytes:
        return encode.instrument(module, prices, ProfilingEncoder)
