"""Loads the WASM module of the EVM engine `fast`, once per process."""

from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidModule, RuntimeUnavailable
from hypervisor.once import once
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.cached_modules import load_or_compile
from runtimes.wasmtime.engine import CompiledModule, own_engine
from runtimes.wasmtime.raw import WasmtimeUnusable

ARTIFACT: Final = Path(__file__).parent.parent / "guests" / "evm" / "evm.wasm"


@once
def guest_module() -> CompiledModule:
    """Return the compiled module of the `fast` EVM engine. It is stateless and shared. Raises RuntimeUnavailable."""
    try:
        wasm = ARTIFACT.read_bytes()
        return load_or_compile(own_engine(), wasm, ModuleCache(default_folder()), "EVM engine")
    except (OSError, WasmtimeUnusable, InvalidModule) as error:
        raise RuntimeUnavailable(f"the EVM engine 'fast' cannot be loaded: {error}") from error
