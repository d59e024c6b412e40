"""Modules that are loaded before workers are forked, and data that each worker would otherwise read again.

Both are permanent, so garbage collection is off while they load. Runtimes of native actors and the clients of nodes are
not among the modules: most tests need neither.
"""

import gc
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import Final

MODULES: Final = (
    "hypervisor_tools.soltest.run.serving",
    "runtimes.evm.revm.actor",
    "runtimes.evm.frames.fast_engine",
)


@cache
def load_worker_modules() -> None:
    """Import the modules, and read the built-in actors."""
    gc.disable()
    try:
        for module in MODULES:
            import_module(module)
        from hypervisor.bundles.bundle import Bundle
        from hypervisor.versions.network_versions import LATEST

        with suppress(Exception):  # a worker meets the same error, and reports it
            Bundle.for_actors(LATEST.actors, LATEST.rules)
    finally:
        gc.enable()
