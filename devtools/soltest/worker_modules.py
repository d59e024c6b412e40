"""What the process that forks workers loads, so that a worker begins with it.

Nothing of it is garbage: a collection meanwhile is lost time, and one in a worker would copy what workers share.
"""

import gc

gc.disable()

import devtools.soltest.serving  # noqa: E402, F401
import runtimes.evm.fast.engine  # noqa: E402
import runtimes.wasm.runtime  # noqa: E402, F401

gc.freeze()
gc.enable()
