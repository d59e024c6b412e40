"""Native code of a module of this package, cached by module, wasmtime version and processor."""

import hashlib
import logging

from hypervisor.compile_time import compiling
from hypervisor.errors import InvalidModule
from runtimes.wasmtime.cache import ModuleCache, cache_key, cpu_features
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine
from runtimes.wasmtime.raw import WASMTIME_VERSION

_log = logging.getLogger(__name__)


def load_or_compile(engine: WasmtimeEngine, wasm: bytes, modules: ModuleCache, what: str) -> CompiledModule:
    """Return the compiled module, from the cache if possible; `what` names it in the log. Raises InvalidModule."""
    digest = hashlib.blake2b(wasm, digest_size=32).digest()
    key = cache_key(digest, engine.fingerprint, WASMTIME_VERSION.encode(), cpu_features())
    stored = modules.load(key)
    if stored is not None:
        try:
            return engine.deserialize(stored)
        except InvalidModule as problem:
            _log.warning("the compiled %s on disk cannot be used: %s", what, problem)
    with compiling():
        artifact = engine.compile(wasm).serialize()
    modules.store(key, artifact)
    return engine.deserialize(artifact)  # a module fresh from the compiler holds nearly twice the memory
