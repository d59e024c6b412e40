"""A module of our own as native code: from the private cache, or compiled for this wasmtime, processor and module."""

import hashlib
import logging

from hypervisor.errors import InvalidModule
from runtimes.wasmtime.cache import ModuleCache, cache_key, cpu_features
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine
from runtimes.wasmtime.raw import WASMTIME_VERSION

_log = logging.getLogger(__name__)


def kept_or_compiled(engine: WasmtimeEngine, wasm: bytes, modules: ModuleCache, what: str) -> CompiledModule:
    """The compiled module, which the cache keeps from then on; `what` it is, for the log. Raises InvalidModule."""
    digest = hashlib.blake2b(wasm, digest_size=32).digest()
    key = cache_key(digest, engine.fingerprint, WASMTIME_VERSION.encode(), cpu_features())
    stored = modules.load(key)
    if stored is not None:
        try:
            return engine.deserialize(stored)
        except InvalidModule as problem:
            _log.warning("the compiled %s on disk is of no use: %s", what, problem)
    artifact = engine.compile(wasm).serialize()
    modules.store(key, artifact)
    return engine.deserialize(artifact)  # what comes from the compiler holds nearly twice the memory
