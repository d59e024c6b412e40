"""Runtimes: their interface to the machine, and their selection by code CID.

A runtime is created once and may serve several machines: its caches depend on code alone, and it gets everything else
from the kernel of an invocation. Runtimes are loaded when first needed: this project's by their names below, and those
of other packages by the entry-point group `hypervisor.runtimes`. The order of selection is: an explicit override, the
marker in a built-in actor's module, the format of the code (`CodeTraits.magic`), `wasm`.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final, Protocol

from hypervisor.errors import RuntimeUnavailable
from hypervisor.installation import entry_points_of
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import NATIVE_TRAITS, CodeTraits
from hypervisor.types import NO_BLOCK, BlockId
from store.blockstore import BlockNotFound
from store.cid import Cid, show


@dataclass(slots=True, unsafe_hash=True)
class Outcome:
    """The end of an invocation: exit code, a block of its registry (0 = none), and the actor's message.

    `is_plain` is true if the message adds nothing to the exit code.
    """

    exit_code: Final[int]
    block: Final[BlockId] = NO_BLOCK
    message: Final[str] = ""
    is_plain: Final[bool] = False


@dataclass(frozen=True, slots=True)
class RuntimeServices:
    """Parameters for creating runtimes: the machine's options, such as `evm`, the name of the EVM engine."""

    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstallServices:
    """Services of the machine for preparing modules.

    `load` returns an installed module by its CID, or None. `charge` uses milligas under a name and raises OutOfGas; it
    is None if installing is free.
    """

    load: Callable[[Cid], bytes | None]
    charge: Callable[[str, int], None] | None = None


class Runtime(Protocol):
    """Executes invocations of actors.

    A class states its code's format and properties by an attribute `traits`; without it, they are those of native code.

    A class with the attribute `runs_short = True` checks the limit of `kernel.machine.short` while an actor's code runs
    (`hypervisor.threads`). Other runtimes are not used while there is a limit.
    """

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the method of `kernel.context` with the block `params` (0 = none).

        The module is `kernel.load_code(code)`. Every result of the guest is an Outcome: a return, an exit or a trap
        (exit code 4). OutOfGas and Fatal propagate.
        """

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Run the code's `upgrade` function for the receiver, which had different code before.

        The blocks are the parameters (0 = none) and a CBOR tuple with the CID of the previous code. Code without an
        `upgrade` function exits with SYS_INVALID_RECEIVER. Otherwise like `invoke`.
        """

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Validate and compile modules before their first invocation. Raises InvalidModule.

        If `features` of a network are given, a module that needs other ones is rejected too. `services` finds modules
        that others import, if the rules allow that (lab `libraries`).
        """


_log: Final = logging.getLogger(__name__)
ENTRY_POINT_GROUP = "hypervisor.runtimes"
NATIVE = "wasm"
EVM: Final = "evm"
"""Runtime of the EVM actor, unless an official bundle's module runs as a native actor."""
_WASM: Final = b"\0asm"
OWN_RUNTIMES: Final = {
    NATIVE: "runtimes.wasm:WasmRuntime",
    "wasm-profiled": "runtimes.wasm.profiling:ProfilingRuntime",
    EVM: "runtimes.evm:EvmRuntime",
}
"""Runtimes of this project, as `module:name`."""

RuntimeFactory = Callable[[RuntimeServices], Runtime]
ReadCode = Callable[[Cid], bytes]
"""Function that returns a block by its CID. Raises BlockNotFound."""


class Registry:
    """Runtimes by name, and names by code CID. May be shared by machines on several threads."""

    def __init__(
        self,
        services: RuntimeServices,
        names: Mapping[Cid, str],
        factories: Mapping[str, RuntimeFactory] | None = None,
    ) -> None:
        self._services = services
        self._names = dict(names)
        self._factories = dict(factories or {})
        self._runtimes: dict[str, Runtime] = {}
        self._wrappers: dict[str, list[Callable[[Runtime], Runtime]]] = {}
        self._lock = threading.Lock()

    def runtime_for(self, code: Cid, read: ReadCode | None = None) -> tuple[str, Runtime]:
        """Return the name and the runtime for a code CID. Raises RuntimeUnavailable.

        `read` gives the code of an unknown CID, which is assigned by its format; without it, the runtime is `wasm`.
        """
        name = self._names.get(code) or self._route(code, read)
        runtime = self._runtimes.get(name)
        return name, runtime if runtime is not None else self._load(name, code)

    def traits(self, code: Cid, read: ReadCode) -> CodeTraits:
        """Return the properties of a code CID's runtime. `read` is that of `runtime_for`, and its errors are raised."""
        name = self._names.get(code) or self._route(code, read)
        own = self._factories.get(name)
        return traits_of(name) if own is None else _traits(own)

    def _route(self, code: Cid, read: ReadCode | None) -> str:
        """Return the runtime of a code CID without a name, and remember it once the code was read."""
        try:
            return NATIVE if read is None else self._names.setdefault(code, runtime_of_code(read(code)))
        except BlockNotFound:
            return NATIVE

    def make(self, name: str) -> Runtime:
        """Create a separate, unwrapped runtime by name. Raises RuntimeUnavailable."""
        return self._factory(name, f"the runtime '{name}'")(self._services)

    @property
    def options(self) -> Mapping[str, str]:
        """The machine's options for its runtimes."""
        return self._services.options

    def override(self, code: Cid, name: str, factory: RuntimeFactory | None = None) -> None:
        """Assign another runtime to a code CID; pass `factory` for one that is not installed."""
        if factory is not None:
            self._factories.setdefault(name, factory)
        self._names[code] = name

    def wrap(self, name: str, wrapper: Callable[[Runtime], Runtime], *, once: bool = False) -> None:
        """Replace the runtime of a name by `wrapper(runtime)`, for all later invocations.

        With `once`, do nothing if the same wrapper is applied already, e.g. by another machine that shares this
        registry.
        """
        with self._lock:
            if once and wrapper in self._wrappers.get(name, ()):
                return
            self._wrappers.setdefault(name, []).append(wrapper)
            if name in self._runtimes:
                self._runtimes[name] = wrapper(self._runtimes[name])

    def apply_wrappers(self, name: str, runtime: Runtime) -> Runtime:
        """Return a runtime with the wrappers of a name applied to it."""
        for wrapper in self._wrappers.get(name, ()):
            runtime = wrapper(runtime)
        return runtime

    def names(self) -> Mapping[Cid, str]:
        """Return the code CIDs that are not executed by `wasm`, with their runtimes."""
        return {code: name for code, name in self._names.items() if name != NATIVE}

    def _load(self, name: str, code: Cid) -> Runtime:
        factory = self._factory(name, f"the runtime '{name}', required by code {show(code)},")
        with self._lock:
            runtime = self._runtimes.get(name)  # may be set by another thread
            if runtime is None:
                runtime = self._runtimes[name] = self.apply_wrappers(name, factory(self._services))
        return runtime

    def _factory(self, name: str, subject: str) -> RuntimeFactory:
        factory = self._factories.get(name) or _installed_runtimes(name)
        if factory is None:
            raise RuntimeUnavailable(
                f"{subject} is not installed: reinstall this package (in a clone: `make environment`), or install the "
                f"package that registers it under the entry-point group '{ENTRY_POINT_GROUP}'"
            )
        return factory


def traits_of(runtime: str) -> CodeTraits:
    """Return the properties of an installed runtime's code, by its name."""
    return NATIVE_TRAITS if runtime == NATIVE else _traits(_installed_runtimes(runtime))


def _traits(factory: RuntimeFactory | None) -> CodeTraits:
    found: CodeTraits = getattr(factory, "traits", NATIVE_TRAITS)
    return found


def runtime_of_code(code: bytes) -> str:
    """Return the name of the installed runtime whose format code has; `wasm` if there is none."""
    if code.startswith(_WASM):
        return NATIVE  # without loading other packages
    return next((name for name, magic in installed_formats() if code.startswith(magic)), NATIVE)


def creation_failure(init_code: bytes) -> str:
    """Return why init code with another runtime's format fails as bytecode; empty for any other code."""
    name = runtime_of_code(init_code)
    if name == NATIVE:
        return ""
    return (
        f"the init code has the format of the runtime '{name}', but ran as EVM bytecode: use Filecoin's rules with the"
        " feature code-formats, or install it as an actor's code"
    )


@lru_cache
def installed_formats() -> tuple[tuple[str, bytes], ...]:
    """Return names and formats of other packages' runtimes, in the order of their names."""
    formats = []
    for name in sorted(entry_points_of(group=ENTRY_POINT_GROUP).names):
        try:
            formats.append((name, traits_of(name).magic))
        except (ImportError, AttributeError) as error:
            _log.warning("the runtime '%s' of an installed package cannot be loaded: %s", name, error)
    return tuple((name, magic) for name, magic in formats if magic)


@lru_cache
def _installed_runtimes(name: str) -> RuntimeFactory | None:
    factory: RuntimeFactory
    if name in OWN_RUNTIMES:
        factory = resolve_name(OWN_RUNTIMES[name])
        return factory
    for entry_point in entry_points_of(group=ENTRY_POINT_GROUP).select(name=name):
        factory = entry_point.load()
        return factory
    return None
