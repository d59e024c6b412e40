"""The precompiled contracts: Ethereum's (functions of their input) and Filecoin's (which reach the machine)."""

from hypervisor.gas import to_milligas
from runtimes.evm.engine import CallAsk
from runtimes.evm.host import FilecoinHost
from runtimes.evm.precompiles.ethereum import ETHEREUM
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.precompiles.prices import PRICES

__all__ = ["PrecompileFailure", "run_precompile"]


def run_precompile(host: FilecoinHost, ask: CallAsk) -> bytes:
    """The output of the precompile at the asked address; an empty slot answers nothing. Raises PrecompileFailure."""
    name = host.rules.precompiles.get(ask.address)
    if name is None:
        return b""
    pure = ETHEREUM.get(name)
    if pure is None:
        return FILECOIN[name](host, ask)
    host.syscalls.charge("OnEvmPrecompile", to_milligas(PRICES[name](ask.data)))
    return pure(ask.data)
