"""The precompiled contracts: Ethereum's (functions of their input) and Filecoin's (which use the machine).

Read `ethereum`, `filecoin` and `prices` first.
"""

from typing import Final

from hypervisor.errors import ActorExit, LongExecution
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MAX_MILLIGAS, to_milligas
from hypervisor.precompiles import Precompile
from hypervisor.types import MILLIGAS_PER_GAS
from runtimes.evm.contracts.engine import CallInputs
from runtimes.evm.contracts.host import FilecoinHost
from runtimes.evm.contracts.precompiles.ethereum import ETHEREUM, MAX_MODEXP_LENGTH, modexp_lengths, number
from runtimes.evm.contracts.precompiles.failure import PrecompileFailure
from runtimes.evm.contracts.precompiles.filecoin import FILECOIN
from runtimes.evm.contracts.precompiles.prices import PRICES, first_refusal, modexp_price
from runtimes.evm.contracts.precompiles.registered import run_registered

__all__ = ["PrecompileFailure", "run_precompile"]

_SHORT: Final = frozenset(("ecrecover", *FILECOIN))
"""Precompiles of short executions: one signature, and those that consist of syscalls."""


def run_precompile(host: FilecoinHost, inputs: CallInputs) -> bytes:
    """Return the output of the precompile at an address, empty for an unused slot. Raises PrecompileFailure."""
    name = host.rules.precompiles.get(inputs.address)
    if name is None:
        return b""
    if host.syscalls.check_limit is not None and name not in _SHORT:
        raise LongExecution(f"the precompile {name} may run for long")
    pure = ETHEREUM.get(name)
    if pure is None and name in host.rules.registered:
        return _run_registered(host, inputs, host.rules.registered[name])
    if pure is None:
        return FILECOIN[name](host, inputs)
    if name == "modexp":
        _hold_numbers(host, inputs.data)
    available = host.syscalls.kernel.gas.available // MILLIGAS_PER_GAS
    price = modexp_price(inputs.data, available) if name == "modexp" else PRICES[name](inputs.data)
    try:
        output = pure(inputs.data) if price <= available else None  # nothing is computed that cannot be paid for
    except PrecompileFailure:
        output = None
    refusal = first_refusal(name, inputs.data, available) if output is None and price else None
    _charge(host, to_milligas(price if refusal is None else refusal[1]))
    if refusal is not None:
        raise refusal[0]
    return pure(inputs.data) if output is None else output


def _run_registered(host: FilecoinHost, inputs: CallInputs, row: Precompile) -> bytes:
    """Run a user's precompile, at its price times the network's exchange rate."""
    _charge(host, min(row.price(inputs.data) * host.rules.gas_rate, MAX_MILLIGAS))
    return run_registered(row, inputs.data)


def _hold_numbers(host: FilecoinHost, data: bytes) -> None:
    """Charge for memory: the official module stores each number but zero at its full length, and the result."""
    lengths = modexp_lengths(data)
    if max(lengths) >= MAX_MODEXP_LENGTH:
        return
    limit = host.rules.max_frame_memory
    if max(lengths) > limit:
        raise ActorExit(ExitCode.USR_ASSERTION_FAILED, message=f"a number of {max(lengths)} bytes exceeds the memory")
    at = 96
    for length in lengths:
        if any(data[at : at + length]):
            host.hold(length, copies=1)
        at += length
    modulus = lengths[2]
    is_zero = number(data, at - modulus, modulus) < 2
    host.hold(modulus, copies=1 if is_zero or 2 * modulus <= limit else 2)


def _charge(host: FilecoinHost, milligas: int) -> None:
    host.syscalls.charge("OnEvmPrecompile", milligas)
