"""Puts a public suite's sources and the libraries that it wants into one folder, as its authors have them.

The suites are checkouts outside of the project (folder.py); a checkout's submodules may be empty: their libraries come
from npm and from each other. Nothing in them is changed; test files that import what no package holds are left out, and
named.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.soltests.folder import public_suites

PROJECT: Final = Path(__file__).resolve().parent.parent.parent
INSTALLED: Final = PROJECT / "build" / "tests" / "soltests"
"""Folder of the programs that `scripts/clients tests/soltests` installs."""


@dataclass(frozen=True, slots=True)
class PublicSuite:
    """A suite: its folder among the checkouts, its libraries, and its missing imports.

    `libraries` maps destinations to sources (`npm:package` or a folder of the suites). `absent` holds prefixes of
    imports that no package provides. `mocks` is True if the suite replaces Filecoin's precompiles and actors with its
    own code. `fuzz_runs` and `depth` apply to both runners.
    """

    folder: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    mocks: bool = False
    fuzz_runs: int = 16
    invariant_runs: int = 2
    depth: int = 15

    @property
    def checkouts(self) -> set[str]:
        """The suites' folders that it is put together from."""
        origins = (self.folder, *self.libraries.values())
        return {origin.split("/")[0] for origin in origins if not origin.startswith("npm:")}


_FORGE_STD: Final = {"lib/forge-std": "forge-std"}
_OPENZEPPELIN: Final = {
    "lib/openzeppelin-contracts/contracts": "openzeppelin-contracts/contracts",
    "lib/openzeppelin-contracts-upgradeable/contracts": "npm:@openzeppelin/contracts-upgradeable",
}
_FVM: Final = {"lib/fvm-solidity": "fvm-solidity"}

SUITES: Final[Mapping[str, PublicSuite]] = {
    "solady": PublicSuite("solady"),
    "openzeppelin": PublicSuite(
        "openzeppelin-contracts", _FORGE_STD, absent=("halmos-cheatcodes", "erc4626-tests")
    ),
    "fvm-solidity": PublicSuite("fvm-solidity", _FORGE_STD, mocks=True),
    "session-keys": PublicSuite("SessionKeyRegistry", _FORGE_STD),
    "filecoin-pay": PublicSuite(
        "filecoin-pay", {**_FORGE_STD, **_OPENZEPPELIN, **_FVM, "lib/prb-math": "npm:@prb/math"}, mocks=True
    ),
    "pdp": PublicSuite(
        "pdp",
        {**_FORGE_STD, **_OPENZEPPELIN, **_FVM, "lib/pyth-sdk-solidity": "npm:@pythnetwork/pyth-sdk-solidity"},
        mocks=True,
    ),
    "filecoin-services": PublicSuite(
        "filecoin-services/service_contracts",
        {
            **_FORGE_STD,
            **_OPENZEPPELIN,
            "lib/fws-payments": "filecoin-pay",
            "lib/fws-payments/lib/prb-math": "npm:@prb/math",
            "lib/fws-payments/lib/fvm-solidity": "fvm-solidity",
            "lib/pdp": "pdp",
            "lib/pdp/lib/fvm-solidity": "fvm-solidity",
            "lib/pdp/lib/openzeppelin-contracts/contracts": "openzeppelin-contracts/contracts",
            "lib/pdp/lib/pyth-sdk-solidity": "npm:@pythnetwork/pyth-sdk-solidity",
            "lib/session-key-registry": "SessionKeyRegistry",
        },
    ),
}  # fmt: skip


def stage(name: str, where: Path) -> list[str]:
    """Lay a suite out in a folder, over what lay there before; the test files that were left out.

    Raises SuitesMissing.
    """
    suite = SUITES[name]
    checkouts = public_suites(*sorted(suite.checkouts))
    source = checkouts / suite.folder
    for folder in ("src", "contracts", "test", "lib"):
        shutil.rmtree(where / folder, ignore_errors=True)
    shutil.copytree(source, where, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
    for target, origin in suite.libraries.items():
        package = origin.removeprefix("npm:")
        found = checkouts / origin if package == origin else INSTALLED / "node_modules" / package
        shutil.copytree(
            found, where / target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", ".git")
        )
    left_out = []
    for path in sorted((where / "test").rglob("*.sol")):
        text = path.read_text(encoding="utf-8")
        if any(f'"{absent}/' in text for absent in suite.absent):
            left_out.append(path.relative_to(where).as_posix())
            path.unlink()
    return left_out
