"""Translation between Ethereum's and Filecoin's formats: addresses, parameters, calls, events and gas.

Most of it consists of pure functions; operations that need state (resolving an address, sending) are done by the
calling runtime.

Read `ethereum/transactions`, `filecoin/parameters` and `abi/abi` first.
"""

import hypervisor  # noqa: F401  # which refuses modules that shadow the packages
