"""Definitions of public suites, and assembly of each suite's sources and libraries in one folder, as in its repository.

The suites are checkouts outside of the project (folder.py). Pinned sources are taken from the repository's history,
whatever commit is checked out; others are copied as they are. Submodules may be empty, because libraries are declared
too.
"""

import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

from tests.soltests.folder import REPOSITORIES, SuitesMissing, public_suites

PROJECT: Final = Path(__file__).resolve().parent.parent.parent
INSTALLED: Final = PROJECT / "build" / "tests" / "soltests"
"""Folder of the programs that `scripts/clients tests/soltests` installs."""


@dataclass(frozen=True, slots=True)
class PublicSuite:
    """A public suite and how both runners run it.

    `libraries` maps destinations to sources: `npm:package`, or a folder of the suites, `folder@commit` if pinned.
    `mocks` is True if the suite replaces Filecoin's precompiles and actors with its own code. `solc` names npm's
    package of the compiler that the suite asks for, and `profile` the profile of its foundry.toml.
    `left_out` holds regular expressions for signatures of tests that neither runner runs.
    """

    folder: str
    libraries: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    solc: str = "solc"
    profile: str = "default"
    mocks: bool = False
    left_out: tuple[str, ...] = ()
    fuzz_runs: int = 16
    invariant_runs: int = 2
    depth: int = 15
    compares_gas: bool = False
    """True if gas of unit tests, gas reports and snapshots must be forge's, except for listed differences."""

    @property
    def checkouts(self) -> set[str]:
        """Names of the clones that the suite needs."""
        origins = (self.folder, *self.libraries.values())
        return {re.split("[/@]", origin)[0] for origin in origins if not origin.startswith("npm:")}


_FORGE_STD: Final = {"lib/forge-std": "forge-std"}
_OPENZEPPELIN: Final = {
    "lib/openzeppelin-contracts/contracts": "openzeppelin-contracts/contracts",
    "lib/openzeppelin-contracts-upgradeable/contracts": "npm:@openzeppelin/contracts-upgradeable",
}
_DS_TEST: Final = "ds-test@e282159d5170298eb2455a6c05280ab5a73a4ef0"
_FVM: Final = {"lib/fvm-solidity": "fvm-solidity"}

SUITES: Final[Mapping[str, PublicSuite]] = {
    "solady": PublicSuite("solady", commit="ab96a830e705de13e0f58cfaefadab4ac8257655"),
    "openzeppelin": PublicSuite(
        "openzeppelin-contracts",
        {
            "lib/forge-std": "forge-std@1801b0541f4fda118a10798fd3486bb7051c5dd6",
            "lib/erc4626-tests": "erc4626-tests@232ff9ba8194e406967f52ecc5cb52ed764209e9",
            "lib/halmos-cheatcodes": "halmos-cheatcodes@7328abe100445fc53885c21d0e713b95293cf14c",
        },
        commit="fddac901ccdbdb06be90536822936ea765dd9218", solc="solc-0.8.35", compares_gas=True,
    ),
    "solmate": PublicSuite(
        "solmate", {"lib/ds-test": _DS_TEST},
        commit="89365b880c4f3c786bdd453d4b8e8fe410344a69", solc="solc-0.8.15", compares_gas=True,
        left_out=("^testFail",),  # forge 1.x fails each contract that has one, without running its other tests
    ),
    "prb-math": PublicSuite(
        "prb-math", {"node_modules/forge-std": "forge-std@77041d2ce690e692d6e03cc812b57d1ddaa4d505"},
        commit="982c369fe95e1d2c93d2bb1fd8650becbbfb92f1", solc="solc-0.8.30", compares_gas=True,
    ),
    "permit2": PublicSuite(
        "permit2",
        {
            "lib/forge-std": "forge-std@66bf4e2c92cf507531599845e8d5a08cc2e3b5bb",
            "lib/forge-std/lib/ds-test": _DS_TEST,
            "lib/forge-gas-snapshot": "forge-gas-snapshot@3c5d52a26169876a144f7690d2f9ef0200eb0791",
            "lib/openzeppelin-contracts": "openzeppelin-contracts@d3ff81b37f3c773b44dcaf5fda212c7176eef0e2",
            "lib/solmate": "solmate@8d910d876f51c3b2585c9109409d601f600e68e1",
            "lib/solmate/lib/ds-test": "ds-test@9310e879db8ba3ea6d5c6489a579118fd264a3f5",
        },
        commit="cc56ad0f3439c502c246fc5cfcc3db92bb8b7219", solc="solc-0.8.17", compares_gas=True,
    ),
    "morpho-blue": PublicSuite(
        "morpho-blue",
        {
            "lib/forge-std": "forge-std@2f112697506eab12d433a65fdc31a639548fe365",
            "lib/forge-std/lib/ds-test": _DS_TEST,
        },
        commit="3085651a79553bbabbfd8be309c262dab45b686e", solc="solc-0.8.19", profile="no_via_ir", compares_gas=True,
    ),
    "forge-std": PublicSuite("forge-std"),
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


def commit_of(folder: str) -> str:
    """Return the commit that a checkout of the suites' folder is at; empty if it is no repository."""
    done = _git(public_suites() / folder, "rev-parse", "HEAD")
    return done.stdout.decode().strip() if not done.returncode else ""


def stage(name: str, where: Path) -> None:
    """Copy a suite of `SUITES` and its libraries into a folder, replacing its sources. Raises SuitesMissing."""
    stage_suite(SUITES[name], where)


def stage_suite(suite: PublicSuite, where: Path) -> None:
    """Copy a suite and its libraries into a folder, replacing its sources. Raises SuitesMissing."""
    checkouts = public_suites(*sorted(suite.checkouts))
    for folder in ("src", "contracts", "test", "lib"):
        shutil.rmtree(where / folder, ignore_errors=True)
    _lay(checkouts, f"{suite.folder}@{suite.commit}" if suite.commit else suite.folder, where)
    for target, origin in suite.libraries.items():
        _lay(checkouts, origin, where / target)


def _lay(checkouts: Path, origin: str, where: Path) -> None:
    """Copy `npm:package`, a folder of the suites, or `folder@commit`."""
    package = origin.removeprefix("npm:")
    folder, _, commit = origin.partition("@") if package == origin else (package, "", "")
    if not commit:
        found = checkouts / folder if package == origin else INSTALLED / "node_modules" / package
        ignored = shutil.ignore_patterns("node_modules", ".git")
        shutil.copytree(found, where, dirs_exist_ok=True, ignore=ignored)
        return
    packed = _git(checkouts / folder, "archive", "--format=tar", commit, ".", ":(exclude,glob)**/*.pdf")
    if packed.returncode:
        text = f"{checkouts / folder} does not have commit {commit}; make it a clone of {REPOSITORIES[folder]}"
        raise SuitesMissing(f"{text} with that commit in its history")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
        files.extractall(where, filter="data")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
