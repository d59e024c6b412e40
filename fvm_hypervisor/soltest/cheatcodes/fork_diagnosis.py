"""Diagnosis of failed tests on forks: calls to contracts missing on the active fork, in forge's words."""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress, checksummed
from fvm_hypervisor.soltest.cheatcodes.context import Cheats
from runtimes.evm import CallInputs
from runtimes.evm.ethereum import EthereumHost

_SELECTOR: Final = 4
"""Size of a function selector in bytes."""


def missing_on_fork(cheats: Cheats, host: EthereumHost, inputs: CallInputs) -> str | None:
    """Return the diagnosis of a call under Ethereum's rules; None if the callee has code or is a precompile."""
    if len(inputs.data) < _SELECTOR or host.accounts.has_code(inputs.address):
        return None
    if inputs.address in host.fork.precompiles or host.is_unsupported_address(inputs.address):
        return None
    return missing_contract(cheats, inputs.address)


def missing_contract(cheats: Cheats, address: EthAddress) -> str | None:
    """Return the diagnosis of a call to an address without code; None without an active fork."""
    origin = cheats.origin
    active = None if origin is None else origin.active
    if origin is None or active is None:
        return None
    left, name = cheats.state.forks.left, checksummed(address)
    others = [number for number in sorted(left) if number != active and origin.holds(left[number], address)]
    if others:
        listed = ", ".join(map(str, others))
        return (
            f"Contract {name} does not exist on active fork with id `{active}`\n"
            f"        But exists on non active forks: `[{listed}]`"
        )
    if address in cheats.state.persistent:
        return f"Contract {name} does not exist"
    return f"Contract {name} does not exist and is not marked as persistent, see `vm.makePersistent()`"
