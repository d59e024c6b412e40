"""The folder of public Solidity suites, which FVM_SUITES names: how it is laid out, and what it lacks.

Nothing in `make test` needs it. `python -m tests.soltests.folder [NAME...]` says NOT RUN and ends with 2 where the
folder or one of the suites is missing: the Makefile asks before it runs what needs them.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

REPOSITORIES: Final[Mapping[str, str]] = {
    "solady": "Vectorized/solady",
    "openzeppelin-contracts": "OpenZeppelin/openzeppelin-contracts",
    "forge-std": "foundry-rs/forge-std",
    "solmate": "transmissions11/solmate",
    "prb-math": "PaulRBerg/prb-math",
    "permit2": "Uniswap/permit2",
    "morpho-blue": "morpho-org/morpho-blue",
    "ds-test": "dapphub/ds-test",
    "forge-gas-snapshot": "marktoda/forge-gas-snapshot",
    "erc4626-tests": "a16z/erc4626-tests",
    "halmos": "a16z/halmos",
    "halmos-cheatcodes": "a16z/halmos-cheatcodes",
    "fvm-solidity": "filecoin-project/fvm-solidity",
    "pdp": "FilOzone/pdp",
    "filecoin-pay": "FilOzone/filecoin-pay",
    "filecoin-services": "FilOzone/filecoin-services",
    "SessionKeyRegistry": "FilOzone/SessionKeyRegistry",
    "aave-v4-scfuzzbench": "scfuzzbench/aave-v4-scfuzzbench",
    "drips-fuzzing-scfuzzbench": "scfuzzbench/drips-fuzzing-scfuzzbench",
    "liquity-V2-gov-scfuzzbench": "scfuzzbench/liquity-V2-gov-scfuzzbench",
    "chimera": "Recon-Fuzz/chimera",
    "setup-helpers": "Recon-Fuzz/setup-helpers",
    "v4-core": "Uniswap/v4-core",
}
"""Each suite by its folder's name, with the repository on GitHub that the folder is a checkout of."""
_LAYOUT: Final = (
    "set FVM_SUITES to a folder, outside of this project, that holds a checkout of each under its own name: "
    + ", ".join(f"{name} (github.com/{repository})" for name, repository in REPOSITORIES.items())
)  # fmt: skip


class SuitesMissing(LookupError):
    """The folder of public suites, or one of them, is not here; the text says how the folder is laid out."""


def public_suites(*names: str) -> Path:
    """The folder, if it holds these suites. Raises SuitesMissing."""
    named = os.environ.get("FVM_SUITES")
    if not named:
        raise SuitesMissing(f"the public Solidity suites are not here: {_LAYOUT}")
    folder = Path(named).resolve()
    if missing := missing_suites(folder, names):
        raise SuitesMissing(f"FVM_SUITES names {folder}, which lacks {', '.join(missing)}: {_LAYOUT}")
    return folder


def missing_suites(folder: Path, names: Iterable[str]) -> list[str]:
    """Those that the folder lacks; an empty folder, such as a submodule that was not fetched, is none."""
    return [name for name in names if not (folder / name).is_dir() or not any((folder / name).iterdir())]


def main() -> int:
    """2 where something is missing, else 0."""
    try:
        public_suites(*sys.argv[1:])
    except SuitesMissing as lack:
        print(f"NOT RUN: {lack}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
