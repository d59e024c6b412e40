"""The user's consent to what a project asks for beyond contracts in a sandbox: programs, files outside, other machines.

A checkout grants itself nothing: `ffi = true`, a compiler by its path, a row of `fs_permissions` that leads out of the
project, and nodes on other machines count only with consent. The user gives it for one run (`--trust`), or for the
project (`hypervisor trust`) as long as these keys of foundry.toml stay as they are.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fvm_hypervisor.soltest.project_files import CONFIG_FILE
from hypervisor.errors import InvalidInput
from hypervisor.user_files import read_bounded, user_folder

KEYS: Final = ("ffi", "fs_permissions", "solc", "solc_version", "rpc_endpoints", "eth_rpc_url")
"""Keys of foundry.toml, of a profile or of the file, whose values consent is given to."""
_FILE: Final = "trusted.json"
_LARGEST: Final = 1 << 20


class Consent(StrEnum):
    """What is consented to, by the key of foundry.toml that asks for it."""

    FFI = "ffi"
    FILES = "fs_permissions"
    SOLC = "solc"
    NODES = "rpc_endpoints"


class ConsentNeeded(InvalidInput):
    """A run needs consent that was not given: it stops."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What the user has consented to for a run.

    `urls` are nodes that the command line names. With `is_outdated` the project was trusted before its keys changed.
    """

    granted: frozenset[Consent] = frozenset()
    urls: frozenset[str] = frozenset()
    is_outdated: bool = False

    def require(self, key: Consent, what: str) -> None:
        """Raise ConsentNeeded unless there is consent to a key; `what` says what needs it."""
        if key in self.granted:
            return
        before = ", which was trusted before its keys changed" if self.is_outdated else ""
        raise ConsentNeeded(
            f"{what} ({key} of foundry.toml): this needs your consent. Give it with `hypervisor trust` for this project"
            f"{before}, or with --trust for one run"
        )

    def require_node(self, url: str, what: str) -> None:
        """Raise ConsentNeeded for a node that is not on this machine and that the command line does not name."""
        if url not in self.urls and not is_on_this_machine(url):
            self.require(Consent.NODES, what)


EVERYTHING: Final = frozenset(Consent)


def is_on_this_machine(url: str) -> bool:
    """Return True if a URL's host is a loopback address."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


# --- trusted projects -----------------------------------------------------------------------------------------------


def asked_keys(root: Path) -> list[tuple[str, str, Any]]:
    """Return the keys of a project's foundry.toml that need consent: profile (or empty), key, value."""
    file = Path(os.environ.get("FOUNDRY_CONFIG", root / CONFIG_FILE))
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file}: {error}") from None
    known, profiles = {_plain(key): key for key in KEYS}, content.get("profile")
    tables = {"": content, **(profiles if isinstance(profiles, Mapping) else {})}
    return [
        (profile, known[_plain(name)], table[name])
        for profile, table in sorted(tables.items())
        if isinstance(table, Mapping)
        for name in sorted(table)
        if _plain(name) in known
    ]


def _plain(name: str) -> str:
    """A key without the hyphens, underscores and capitals in which forge lets it be written."""
    return name.replace("-", "").replace("_", "").lower()


def keys_digest(root: Path) -> str:
    """Return a digest of the keys that need consent; it changes with each of them."""
    return sha256(json.dumps(asked_keys(root), default=str).encode()).hexdigest()


def trusted_projects() -> dict[str, str]:
    """Return the digest of each project that the user trusts, by its folder."""
    place = user_folder("data") / _FILE
    if not place.exists():
        return {}
    try:
        found = json.loads(read_bounded(place, _LARGEST, "the list of trusted projects"))
        return {str(root): str(digest) for root, digest in found.items()}
    except (ValueError, AttributeError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{place} is not a list of trusted projects: delete it, and trust them again") from None


def set_trust(root: Path, *, is_trusted: bool) -> bool:
    """Trust a project as its keys are now, or revoke that; return False if there was nothing to revoke."""
    found, name = trusted_projects(), str(root.resolve())
    was_there = found.pop(name, None) is not None
    if is_trusted:
        found[name] = keys_digest(root)
    folder = user_folder("data")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{_FILE}.{os.getpid()}"
    partial.write_text(json.dumps(found, indent=1), encoding="utf-8")
    partial.replace(folder / _FILE)
    return was_there or is_trusted


def grant_of(root: Path, *, trust: bool, given: frozenset[Consent], urls: frozenset[str]) -> Grant:
    """Return the consent to a project: of the command line (`trust`, `given`, `urls`), or from `hypervisor trust`."""
    if trust:
        return Grant(EVERYTHING, urls)
    known = trusted_projects().get(str(root.resolve()))
    if known is None:
        return Grant(given, urls)
    is_current = known == keys_digest(root)
    return Grant(EVERYTHING if is_current else given, urls, not is_current)
