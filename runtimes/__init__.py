"""Runtimes: the packages that execute actors' code."""

import hypervisor  # noqa: F401  # which refuses modules that shadow the packages
