"""Modules that the process that forks workers preloads.

They are permanent, so garbage collection is off while they load, and they are frozen: a collection in a worker would
copy shared pages.
"""

import gc
from importlib import import_module
from typing import Final

MODULES: Final = ("fvm_hypervisor.soltest.serving", "runtimes.evm.fast.engine", "runtimes.wasm.runtime")

gc.disable()
for module in MODULES:
    import_module(module)
gc.freeze()
gc.enable()
