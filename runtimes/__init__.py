"""Runtimes: the packages that execute actors' code."""

import hypervisor  # noqa: F401  # installs the guards for hidden packages and compiled modules
