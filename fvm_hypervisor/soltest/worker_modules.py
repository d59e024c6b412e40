"""What the process that forks workers loads, so that a worker begins with it.

Nothing of it is garbage: a collection meanwhile is lost time, and one in a worker would copy what workers share.
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
