"""How much gas a contract's calls may use."""

from typing import Final

from runtimes.evm.precompile_host import PrecompileHost

_U64_MAX: Final = (1 << 64) - 1


def gas_limit(host: PrecompileHost, wanted: int) -> int:
    """A call's limit in gas: what was asked for, at most 63/64 of what is left."""
    return min(wanted, _U64_MAX, 63 * host.get_gas_left() // 64)
