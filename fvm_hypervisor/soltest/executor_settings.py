"""Environment of tests: rules, network version, fork of Ethereum, engine; block and balance as in forge."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum_block import ETHEREUM
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER
from hypervisor.precompiles import Precompile
from runtimes.evm import JUMPS_OPTION


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """Settings of a `TestExecutor`."""

    rules: str = ETHEREUM
    network: int | None = None
    evm: str = "py-evm"
    fork: str = ""
    bundle: str | None = None
    gas_limit: int = 1 << 30
    code_limit: int | None = None
    number: int = 1
    timestamp: int = 1
    chain_id: int = 31337
    base_fee: int = 0
    coinbase: EthAddress = ZERO_ADDRESS
    sender: EthAddress = DEFAULT_SENDER
    balance: int = (1 << 96) - 1
    fork_url: str | None = None
    """Node to fork from."""
    fork_number: int | None = None
    """Block number to fork at; None for the latest one."""
    precompiles: tuple[Precompile | str, ...] = ()
    """Custom precompiles, and the names of installed ones."""
    records_jumps: bool = False
    """True if the engine `fast` records jumps (`JumpCoverage`), which keeps it from compiling hot code."""

    @property
    def runtime_options(self) -> dict[str, str]:
        """Options of the machine's runtimes."""
        return {JUMPS_OPTION: ""} if self.records_jumps else {}
