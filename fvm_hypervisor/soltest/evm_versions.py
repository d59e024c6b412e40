"""Selection of the compiler's target EVM version, with forge's defaults.

If a project sets no version, forge requests Osaka, whatever the compiler's own default is; a compiler that does not
support it gets the newest version that it supports. Rules: Foundry's and solc's release notes.
"""

from __future__ import annotations

from typing import Final

DEFAULT: Final = "osaka"
_SINCE: Final = {
    "byzantium": (0, 4, 21),
    "constantinople": (0, 4, 22),
    "petersburg": (0, 5, 5),
    "istanbul": (0, 5, 14),
    "berlin": (0, 8, 5),
    "london": (0, 8, 7),
    "paris": (0, 8, 18),
    "shanghai": (0, 8, 20),
    "cancun": (0, 8, 24),
    "prague": (0, 8, 27),
    "osaka": (0, 8, 29),
}
"""EVM versions from oldest to newest, each with the first release of solc that supports it."""

EVM_VERSIONS: Final = ("homestead", "tangerinewhistle", "spuriousdragon", *_SINCE)
"""All EVM versions that forge accepts, from oldest to newest."""

_OLDER: Final = (("cancun", "Cancun+EIP-7702"), ("shanghai", "Shanghai+EIP-7702"), (EVM_VERSIONS[0], "Paris+EIP-7702"))
"""EVM versions and forks, newest first: a version before Prague uses the first pair whose version is not newer."""


def evm_version(wanted: str | None, solc: str) -> str:
    """Return the EVM version for a release of solc; an unknown name is passed to the compiler as it is."""
    wanted = wanted or DEFAULT
    if wanted not in _SINCE:
        return wanted
    forks = list(_SINCE)
    release = tuple(int(part) for part in solc.split("."))
    known = [fork for fork in forks[: forks.index(wanted) + 1] if _SINCE[fork] <= release]
    return known[-1]


def rules_of(version: str) -> str:
    """Return the name of the fork whose rules execute code of an EVM version.

    Versions before Prague have EIP-7702 delegation, which forge supports in all versions. Cancun, Shanghai and Paris
    have their own opcodes, precompiles and transaction gas; older versions use those of Paris.
    """
    from runtimes.evm.ethereum import FORKS

    known = {fork.name.lower(): fork.name for fork in FORKS.values() if fork.delegations}
    if version in known:
        return known[version]
    number = EVM_VERSIONS.index(version)
    return next(name for first, name in _OLDER if number >= EVM_VERSIONS.index(first))
