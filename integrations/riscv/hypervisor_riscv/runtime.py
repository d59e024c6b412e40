"""`RiscvRuntime`: contracts whose code is a PolkaVM blob."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from hypervisor.errors import InvalidModule
from hypervisor.kernel.call import CONTRACT_TRAITS
from hypervisor.machine.registry import InstallServices
from hypervisor_riscv.engine import RiscvEngine
from hypervisor_riscv.guest import MAGIC, MAX_CODE_SIZE, guest, split_code
from runtimes.evm import Code, ContractRuntime, Engine, EvmRules
from store.cid import Cid

CODE_PRICE: Final = 380_000
"""Milligas per byte of code of a frame: 16 ns to load and 22 ns to translate all of it, at ten gas per nanosecond."""


class RiscvRuntime(ContractRuntime):
    """Executes contracts of PolkaVM's format."""

    max_code_size = MAX_CODE_SIZE
    traits = replace(CONTRACT_TRAITS, magic=MAGIC)

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        for code in modules.values():
            blob, rest = split_code(code)
            if rest:
                raise InvalidModule(f"the blob states a length of {len(blob)} bytes, but has {len(code)}")
            guest().load(blob)

    def code_price(self, rules: EvmRules, code: Code) -> int:
        return CODE_PRICE * len(code.data)

    def engine(self, rules: EvmRules, *, constructs: bool) -> Engine:
        return RiscvEngine(constructs)
