"""Environment of tests: rules, network version, fork of Ethereum, engine; block and balance as in forge."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.ethereum.block import ETHEREUM
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER
from fvm_hypervisor.soltest.compile.releases import VERSION
from fvm_hypervisor.soltest.evm_versions import DEFAULT, evm_version, rules_of
from fvm_hypervisor.soltest.project.project import Project
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


def fork_of(project: Project) -> str:
    """Return the name of the fork whose rules execute a project's tests."""
    return rules_of(evm_version_of(project))


def evm_version_of(project: Project) -> str:
    """Return the EVM version to compile for and run on; as in forge, never one that the project's solc lacks."""
    compiler = project.compiler
    version = compiler.version if compiler.version is not None and VERSION.fullmatch(compiler.version) else None
    return compiler.evm_version or DEFAULT if version is None else evm_version(compiler.evm_version, version)


def sender_of(project: Project) -> EthAddress:
    """Return the address that deploys and calls test contracts."""
    return address_of(project.sender)


def address_of(text: str) -> EthAddress:
    """Return an address that `Table.address` has validated."""
    return EthAddress(bytes.fromhex(text.removeprefix("0x")))
