"""The command `hypervisor-riscv compare`: both forms of a Foundry project's contract under random calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor_riscv.compare import Contract, compare, plan
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.project.project import load_project
from hypervisor_tools.soltest.run.session import SuiteSession

SUFFIX = "@resolc"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 1 if the forms differ, 2 for an error."""
    parser = argparse.ArgumentParser(prog="hypervisor-riscv", description=__doc__)
    command = parser.add_subparsers(required=True, metavar="compare").add_parser(
        "compare", help="compare solc's and resolc's code of a contract by random calls"
    )
    command.add_argument("contract", help="name of the contract, such as Counter or src/Counter.sol:Counter")
    command.add_argument("--project", type=Path, default=Path(), help="folder with foundry.toml (default: this folder)")
    command.add_argument("--arguments", default="", help="constructor arguments in the ABI, in hex")
    command.add_argument("--calls", type=int, default=400, help="number of random calls (default: 400)")
    command.add_argument("--seed", type=int, default=1, help="seed of the random calls (default: 1)")
    command.add_argument("--use", default=None, help="solc: a version, a program or the folder of npm's package")
    chosen = parser.parse_args(arguments)
    try:
        return _compare(chosen)
    except HypervisorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _compare(chosen: argparse.Namespace) -> int:
    if chosen.calls < 1:
        raise InvalidInput(f"--calls is {chosen.calls}: it is at least 1")
    project = load_project(chosen.project)
    artifacts = SuiteSession(project, SuiteFilter(), Options(use=chosen.use), print).compiled()
    contract = contract_of(artifacts, chosen.contract, chosen.arguments)
    calls = plan(contract.abi, chosen.calls, chosen.seed)
    differences = compare(contract, calls)
    print(*differences, f"{len(calls)} calls, {len(differences)} differences", sep="\n")
    return int(bool(differences))


def contract_of(artifacts: Artifacts, name: str, arguments: str) -> Contract:
    """Return a contract in both forms. Raises InvalidInput if there is not one of each."""
    evm, riscv = artifacts.find(name), artifacts.find(f"{name}{SUFFIX}")
    if evm is None or riscv is None:
        raise InvalidInput(
            f"there is not exactly one contract '{name}' in both forms: name it as FILE.sol:NAME, and add its source to"
            " `compilers.resolc` in foundry.toml"
        )
    try:
        data = bytes.fromhex(arguments.removeprefix("0x"))
    except ValueError:
        raise InvalidInput(f"--arguments {arguments!r:.40} is not hex") from None
    blobs = [bytes.fromhex(found.creation.object) for found in artifacts.all() if found.name.endswith(SUFFIX)]
    return Contract(evm.abi, bytes.fromhex(evm.creation.object), bytes.fromhex(riscv.creation.object), data, blobs)


if __name__ == "__main__":
    sys.exit(main())
