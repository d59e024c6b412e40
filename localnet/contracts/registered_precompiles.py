"""Users' precompiles on a network: registration on its machine, and decoding in traces.

`hypervisor.precompiles` defines them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

from bridge.abi.abi import AbiMismatch, ContractInterface, signature
from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.rules import register_precompiles
from hypervisor.precompiles import Precompile
from localnet.contracts.argument_texts import signature_interface
from store.keccak import keccak

_SELECTOR: Final = 4
_NONE: Final[Mapping[EthAddress, str]] = MappingProxyType({})
Items = Sequence[Mapping[str, Any]]


def offer_precompiles(
    machine: MachineState, chosen: Iterable[Precompile | str], taken: Mapping[EthAddress, str] = _NONE
) -> None:
    """Register users' precompiles on a machine and its forks; a text names an installed one.

    `taken` maps the addresses of a tool's own functions to their names. Raises InvalidInput for an unusable address,
    signature or module.
    """
    before = machine.context
    register_precompiles(machine, chosen)
    table = machine.context.precompiles
    try:
        for row in () if table is None else table.by_address.values():
            if row.signature:
                try:
                    signature_interface(row.signature)
                except InvalidInput as error:
                    raise InvalidInput(f"precompile '{row.name}': {error}") from None
            if EthAddress(row.at) in taken:
                owner = taken[EthAddress(row.at)]
                raise InvalidInput(
                    f"precompile '{row.name}' cannot be at {row.address}, the address of {owner}: "
                    "choose another address"
                )
            actor = machine.actor(to_filecoin(EthAddress(row.at)))
            if actor is not None and machine.traits(actor.code).is_contract:
                raise InvalidInput(
                    f"precompile '{row.name}' cannot be at {row.address}, which is a contract's: choose another address"
                )
    except InvalidInput:
        machine.context = before
        raise


class PrecompileCall:
    """A decoded call of a precompile; without a matching signature it stays undecoded.

    `inputs` and `outputs` are the ABI's items with their values; calldata may begin with the function's selector.
    """

    def __init__(self, text: str, calldata: bytes, output: bytes | None) -> None:
        """Decode a call by a signature; `output` is None if the call failed."""
        self.inputs: tuple[Items, Sequence[Any]] | None = None
        self.outputs: tuple[Items, Sequence[Any]] | None = None
        if not text:
            return
        with suppress(InvalidInput):
            interface, name = signature_interface(text)
            entry = interface.function(name)
            selector = bytes(keccak(signature(entry).encode()))[:_SELECTOR]
            self.inputs = _inputs(interface, selector, calldata)
            if output is not None and "outputs" in entry:
                with suppress(AbiMismatch):
                    self.outputs = entry["outputs"], interface.read_result(entry, output)


def _inputs(interface: ContractInterface, selector: bytes, calldata: bytes) -> tuple[Items, Sequence[Any]] | None:
    for data in (calldata, selector + calldata) if calldata.startswith(selector) else (selector + calldata,):
        try:
            read = interface.read_call(data)
        except AbiMismatch:
            continue
        if read is not None:
            return read[0]["inputs"], read[1]
    return None
