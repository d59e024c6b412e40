"""What executes actors' code: the packages of the runtimes."""

import hypervisor  # noqa: F401  # the guards of hidden packages and of compiled modules
