"""Cache of runnable modules by code CID: parsed, checked, instrumented and compiled once, in memory and on disk."""

import logging
import os
import struct
import threading
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field

from hypervisor.errors import InvalidModule, UnlinkableModule
from hypervisor.gas import PriceList
from hypervisor.threads import BoundedCache, compiling
from runtimes.wasm.boundary import RAW, Boundary, RawBoundary, ResolvedModule
from runtimes.wasm.module import encode
from runtimes.wasm.module.opcodes import NETWORK_PRICES, WasmPrices
from runtimes.wasm.module.parser import WasmModule, parse_module
from runtimes.wasm.syscalls.abi import Revision, revision_named
from runtimes.wasm.validate import (
    MAX_INSPECTED_OF_FUNCTION,
    ModuleFacts,
    check_entry,
    check_inspected,
    check_linked,
    validate_module,
)
from runtimes.wasmtime.cache import ModuleCache, cache_key, cpu_features
from runtimes.wasmtime.engine import CompiledModule, WasmtimeEngine
from runtimes.wasmtime.raw import WASMTIME_VERSION
from store.cid import Cid, show

_FACTS = struct.Struct("<II?????")
_PRICES = struct.Struct("<QQ")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GuestModule:
    """A module linked against one revision of the ABI."""

    linked: ResolvedModule
    facts: ModuleFacts


@dataclass(frozen=True, slots=True)
class _CompiledEntry:
    """A compiled module, and its linked forms by ABI revision."""

    compiled: CompiledModule
    facts: ModuleFacts
    linked: dict[str, GuestModule] = field(default_factory=dict)


class GuestModules:
    """The modules of one runtime, compiled for its guest engine only.

    The cache in memory holds modules with 64 MiB of WASM in total, about ten bundles; a running module stays in memory
    until it ends.
    """

    def __init__(
        self, engine: WasmtimeEngine, cache: ModuleCache, boundary: str = RAW, cache_bytes: int = 64 << 20
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._boundary = boundary
        self._compiled: BoundedCache[bytes, _CompiledEntry] = BoundedCache(cache_bytes, "wasm_modules")
        self._boundaries: dict[str, Boundary] = {}
        self._lock = threading.Lock()
        self._locks: dict[bytes, threading.Lock] = {}
        self._installation = threading.Lock()

    def find(self, code: Cid, revision: str, prices: WasmPrices = NETWORK_PRICES) -> GuestModule | None:
        """Return the module if it is compiled and linked for these prices, else None."""
        ready = self._compiled.get(code if prices is NETWORK_PRICES else priced_key(code, prices))
        return None if ready is None else ready.linked.get(revision)

    def load(self, code: Cid, wasm: bytes, revision: str, prices: WasmPrices = NETWORK_PRICES) -> GuestModule:
        """Return the module for an ABI revision and a price list, compiled if needed; raises InvalidModule."""
        ready = self.compile(code, wasm, prices)
        with self._lock:
            boundary = self._boundaries.get(revision)
            if boundary is None:
                boundary = self._open(revision_named(revision))
                self._boundaries[revision] = boundary
        try:
            linked = boundary.link(ready.compiled)
        except UnlinkableModule:
            check_linked(parse_module(bytes(wasm)), revision_named(revision))  # gives a better message than wasmtime
            raise
        return ready.linked.setdefault(revision, GuestModule(linked, ready.facts))

    def compile(self, code: Cid, wasm: bytes, prices: WasmPrices = NETWORK_PRICES) -> _CompiledEntry:
        """Return the compiled module from memory, from disk, or compiled now. Raises InvalidModule."""
        name = priced_key(code, prices)
        ready = self._compiled.get(name)
        if ready is None:
            with self._lock:
                lock = self._locks.setdefault(name, threading.Lock())
            try:
                with compiling(), lock:
                    ready = self._compiled.get(name)
                    if ready is None:
                        made = self._from_disk(code, prices) or self._make(code, bytes(wasm), prices)
                        ready = self._compiled.setdefault(name, _CompiledEntry(*made), len(wasm))
            finally:
                with self._lock:
                    self._locks.pop(name, None)
        return ready

    def compile_installed(self, code: Cid, wasm: bytes) -> None:
        """Compile a module that will be installed, one at a time to limit the memory. Raises InvalidModule."""
        if self._compiled.get(code) is None:
            with compiling(), self._installation:
                self.check_installable(code, wasm)
                self.compile(code, wasm)

    def check_installable(self, code: Cid, wasm: bytes) -> None:
        """Raise InvalidModule for a module that takes too much memory and time to compile for an installation.

        The network has no such limit, so modules that are part of a state are not checked.
        """
        if len(wasm) > MAX_INSPECTED_OF_FUNCTION and self._compiled.get(code) is None:
            module = parse_module(wasm)
            self._engine.validate(wasm)
            check_inspected(module)

    def compile_all(self, modules: Mapping[Cid, bytes]) -> None:
        """Compile several modules on all cores. Raises InvalidModule, also if the `invoke` of one has the wrong type.

        Compiling, loading and checking digests release the GIL, so the next module is instrumented while one is
        compiled. Small modules come first, because the first one has nothing to overlap with.
        """
        waiting = sorted(modules.items(), key=lambda item: len(item[1]))
        if len(waiting) < 2:
            for code, wasm in waiting:
                check_entry(self.compile(code, wasm).facts)
            return
        from concurrent.futures import ThreadPoolExecutor  # imported only if there is work to share

        with ThreadPoolExecutor(1 + (os.cpu_count() or 1)) as pool:
            for ready in pool.map(lambda item: self.compile(*item), waiting):
                check_entry(ready.facts)

    def _key(self, code: Cid, prices: WasmPrices = NETWORK_PRICES) -> bytes:
        revision = encode.REVISION.to_bytes(4, "big")
        return cache_key(
            priced_key(code, prices), revision, self._engine.fingerprint, WASMTIME_VERSION.encode(), cpu_features()
        )

    def _from_disk(self, code: Cid, prices: WasmPrices) -> tuple[CompiledModule, ModuleFacts] | None:
        """Load what another machine compiled; None if it cannot be used and must be compiled again."""
        stored = self._cache.load(self._key(code, prices))
        if stored is None:
            return None
        try:
            facts = ModuleFacts(*_FACTS.unpack_from(stored))
            return self._engine.deserialize(stored[_FACTS.size :]), facts
        except (struct.error, InvalidModule) as problem:
            _log.warning("the compiled module of %s on disk cannot be used: %s", show(code), problem)
            return None

    def _open(self, revision: Revision) -> Boundary:
        return _open_boundary(self._boundary, self._engine, revision)

    def _instrument(self, module: WasmModule, prices: WasmPrices) -> bytes:
        """Return the instrumented form of a module. Raises InvalidModule."""
        return encode.instrument(module, prices)

    def _check(self, module: WasmModule) -> ModuleFacts:
        """Return the facts of a module for its invocation. Raises InvalidModule if the rules reject it."""
        return validate_module(module)

    def _make(self, code: Cid, wasm: bytes, prices: WasmPrices) -> tuple[CompiledModule, ModuleFacts]:
        module = parse_module(wasm)
        facts = self._check(module)
        self._engine.validate(wasm)
        compiled = self._engine.compile(self._instrument(module, prices))
        packed = _FACTS.pack(*astuple(facts))
        self._cache.store(self._key(code, prices), packed + compiled.serialize())
        return compiled, facts


def code_prices(prices: PriceList) -> WasmPrices:
    """Return the code prices of a price list; NETWORK_PRICES itself if they are equal to it."""
    found = WasmPrices(prices.wasm_instruction, prices.wasm_memory_per_byte)
    return NETWORK_PRICES if found == NETWORK_PRICES else found


def priced_key(code: Cid, prices: WasmPrices) -> bytes:
    """Return the cache name of a module instrumented with these prices."""
    return code if prices == NETWORK_PRICES else code + _PRICES.pack(*prices)


def _open_boundary(name: str, engine: WasmtimeEngine, revision: Revision) -> Boundary:
    """Create the boundary of a name checked by `boundary.chosen`."""
    if name == RAW:
        return RawBoundary(engine, revision)
    from runtimes.wasm.plain import PlainBoundary  # loads the wrappers of wasmtime-py, which takes a while

    return PlainBoundary(engine, revision)
