"""Planted defects of the EVM runtime, which a run must find."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from unittest.mock import patch

from hypervisor.versions.network_versions import NetworkVersion
from runtimes.evm.contract import EvmContract
from runtimes.evm.filecoin_rules import filecoin_evm_rules
from runtimes.evm.opcodes import OPCODE_NUMBERS
from runtimes.evm.rules import EvmRules


@contextmanager
def _swapped_opcode() -> Iterator[None]:
    """Exchange BALANCE and EXTCODESIZE."""

    def swapped(network: NetworkVersion) -> EvmRules:
        rules = filecoin_evm_rules(network)
        first, second = OPCODE_NUMBERS["BALANCE"], OPCODE_NUMBERS["EXTCODESIZE"]
        opcodes = {**rules.opcodes, first: rules.opcodes[second], second: rules.opcodes[first]}
        return replace(rules, opcodes=MappingProxyType(opcodes))

    with patch("runtimes.evm.runtime.filecoin_evm_rules", swapped):
        yield


@contextmanager
def _no_reload() -> Iterator[None]:
    """Hide state changes of reentrant calls from a contract."""

    def stay(contract: EvmContract) -> None:
        """Keep the previous state."""

    with patch.object(EvmContract, "reload", stay):
        yield


NONE: Final = "none"
PLANTS: Final[Mapping[str, Callable[[], AbstractContextManager[None]]]] = MappingProxyType(
    {NONE: nullcontext, "swapped-opcode": _swapped_opcode, "no-reload": _no_reload}
)
