"""The guest as compiled code: from the private cache, or compiled once for this wasmtime, processor and module."""

import hashlib
import logging
from pathlib import Path
from typing import Final

from hypervisor.errors import InvalidModule, RuntimeUnavailable
from hypervisor.once import once
from runtimes.wasmtime.cache import ModuleCache, cache_key, cpu_features, default_folder
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine, own_engine
from runtimes.wasmtime.raw import WASMTIME_VERSION, WasmtimeUnusable

ARTIFACT: Final = Path(__file__).parent.parent / "guests" / "evm" / "evm.wasm"
_log = logging.getLogger(__name__)


@once
def guest_module() -> CompiledModule:
    """The module, once for the process: code alone, which holds no state. Raises RuntimeUnavailable."""
    try:
        wasm = ARTIFACT.read_bytes()
        return _from_disk_or_made(own_engine(), wasm, ModuleCache(default_folder()))
    except (OSError, WasmtimeUnusable, InvalidModule) as error:
        raise RuntimeUnavailable(f"the EVM engine 'fast' cannot be loaded: {error}") from error


def _from_disk_or_made(engine: WasmtimeEngine, wasm: bytes, modules: ModuleCache) -> CompiledModule:
    digest = hashlib.blake2b(wasm, digest_size=32).digest()
    key = cache_key(digest, engine.fingerprint, WASMTIME_VERSION.encode(), cpu_features())
    stored = modules.load(key)
    if stored is not None:
        try:
            return engine.deserialize(stored)
        except InvalidModule as problem:
            _log.warning("the compiled EVM engine on disk is of no use: %s", problem)
    compiled = engine.compile(wasm)
    modules.store(key, compiled.serialize())
    return compiled
