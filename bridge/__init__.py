"""Translation between the two worlds: addresses, parameters, calls, events and gas.

Everything here is a small function of its arguments; what needs state (resolving an address, sending) is done by
the runtime that calls it.
"""

import hypervisor  # noqa: F401  # the guards of hidden packages and of compiled modules
