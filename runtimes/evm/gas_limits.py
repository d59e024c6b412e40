"""Gas limits of a contract's calls."""

from typing import Final

from runtimes.evm.precompile_host import PrecompileHost

_U64_MAX: Final = (1 << 64) - 1


def gas_limit(host: PrecompileHost, wanted: int) -> int:
    """Return a call's gas limit: the requested one, at most 63/64 of the remaining gas."""
    return min(wanted, _U64_MAX, 63 * host.get_gas_left() // 64)
