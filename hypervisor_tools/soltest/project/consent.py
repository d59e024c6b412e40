"""Consent for what a checkout may run, and safe reading and writing of a project's files.

A checkout grants itself nothing beyond the sandbox: `ffi = true`, a compiler path, an `fs_permissions` entry outside
the project, and nodes on other machines require consent. The user gives it for one run (`--trust`), or for the project
(`hypervisor trust`) until these keys of foundry.toml change. Files are written completely or not at all, and never
outside the project, even through links.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from hypervisor.errors import InvalidInput
from hypervisor.installation import exists, parse_toml, read_bounded, user_folder
from store.untrusted import parse_json

CONFIG_FILE: Final = "foundry.toml"
_MAX_SETTINGS_BYTES: Final = 256 << 10
"""Maximum size of foundry.toml and remappings.txt."""


def read_config(file: Path) -> dict[str, Any]:
    """Return the content of a foundry.toml. Raises InvalidInput, naming the file."""
    text = read_utf8(file)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise InvalidInput(f"{file}: {error}") from None


def read_utf8(file: Path) -> str:
    """Return the text of a project's file with settings. Raises InvalidInput, naming the file."""
    data = read_bounded(file, _MAX_SETTINGS_BYTES, "the file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: invalid UTF-8 at byte {error.start:,}; save the file as UTF-8") from None


def check_inside(root: Path, path: Path, what: str) -> None:
    """Raise InvalidInput if a path, with links resolved, is outside the project."""
    try:
        is_inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{what} {path} cannot be followed: {error}") from None
    if not is_inside:
        raise InvalidInput(
            f"{what} {path} leads to {path.resolve()}, outside the project {root}, where nothing is written;"
            " name a folder of the project, or delete the link"
        )


def write_inside(root: Path, file: Path, content: bytes) -> None:
    """Write a file in a project and create its folder. A link with this name is replaced, not followed.

    Raises InvalidInput if the folder is outside the project, OSError if the write fails.
    """
    check_inside(root, file.parent, "the folder")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    partial.write_bytes(content)
    partial.replace(file)


KEYS: Final = ("ffi", "fs_permissions", "solc", "solc_version", "rpc_endpoints", "eth_rpc_url")
"""Keys of foundry.toml (top level or profile) whose values need consent."""
_FILE: Final = "trusted.json"
_MAX_FILE_BYTES: Final = 1 << 20


class Consent(StrEnum):
    """A permission, named by the key of foundry.toml that requests it."""

    FFI = "ffi"
    FILES = "fs_permissions"
    SOLC = "solc"
    NODES = "rpc_endpoints"


class ConsentNeeded(InvalidInput):
    """Raised when a run needs consent that was not given."""


class Grant(NamedTuple):
    """The permissions that the user has granted to a run.

    `urls` are nodes named on the command line. `is_outdated` is True if the project's keys changed after it was
    trusted.
    """

    granted: frozenset[Consent] = frozenset()
    urls: frozenset[str] = frozenset()
    is_outdated: bool = False

    def require(self, key: Consent, what: str) -> None:
        """Raise ConsentNeeded unless a key is granted; `what` describes the operation that needs it."""
        if key in self.granted:
            return
        before = ", which was trusted before its keys changed" if self.is_outdated else ""
        raise ConsentNeeded(
            f"{what} ({key} of foundry.toml): this needs your consent. Give it with `hypervisor trust` for this project"
            f"{before}, or with --trust for one run"
        )

    def require_node(self, url: str, what: str) -> None:
        """Raise ConsentNeeded for a node on another machine that the command line does not name."""
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


def config_file(root: Path) -> Path:
    """Return the path of a project's settings: `FOUNDRY_CONFIG`, or foundry.toml."""
    return Path(os.environ.get("FOUNDRY_CONFIG", root / CONFIG_FILE))


def consent_keys(root: Path) -> list[tuple[str, str, Any]]:
    """Return the keys of a project's foundry.toml that need consent: profile (or empty), key, value."""
    content = read_config(config_file(root))
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
    """Return a key without hyphens, underscores and capitals, all of which forge ignores."""
    return name.replace("-", "").replace("_", "").lower()


def keys_digest(root: Path) -> str:
    """Return a digest of the keys that need consent; it changes with each of them. That of a file is its SHA-256."""
    if root.is_file():
        return sha256(read_bounded(root, _MAX_FILE_BYTES, "the trusted file")).hexdigest()
    return sha256(json.dumps(consent_keys(root), default=str).encode()).hexdigest()


def trusted_projects() -> dict[str, str]:
    """Return the digest of each project that the user trusts, by its folder."""
    path = user_folder("data") / _FILE
    if not exists(path):
        return {}
    try:
        found = parse_json(read_bounded(path, _MAX_FILE_BYTES, "the list of trusted projects"))
        return {str(root): str(digest) for root, digest in found.items()}
    except (ValueError, AttributeError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"{path} is not a valid list of trusted projects; delete it and trust your projects again"
        ) from None


def set_trust(root: Path, *, is_trusted: bool) -> bool:
    """Trust a project with its current keys, or a file with its content, or revoke trust.

    Return False if there was nothing to revoke.
    """
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


def grant_of(root: Path, *, trust: bool, consents: frozenset[Consent], urls: frozenset[str]) -> Grant:
    """Return a project's permissions, from the command line (`trust`, `consents`, `urls`) or `hypervisor trust`."""
    if trust:
        return Grant(EVERYTHING, urls)
    known = trusted_projects().get(str(root.resolve()))
    if known is None:
        return Grant(consents, urls)
    is_current = known == keys_digest(root)
    return Grant(EVERYTHING if is_current else consents, urls, not is_current)
