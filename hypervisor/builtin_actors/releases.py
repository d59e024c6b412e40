"""The official releases of the built-in actors: names, and pinned manifest CIDs.

`releases.json` has the manifest root of each release, as shipped by Lotus for its tag. Versions 12 and 13 of the
calibration network are omitted, because it ran special builds of them. Other modules download, store and read the
files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

DEFAULT_NETWORK: Final = "mainnet"
"""Network of a release that is named by its version alone, such as `v18`."""


@dataclass(frozen=True, slots=True)
class Release:
    """One file of a release: the actors of a version with the constants of a network.

    `manifest_root` is the required root CID of its CAR, as text. `url` is the official download URL, or None if it is
    unknown.
    """

    version: int
    network: str
    manifest_root: str
    url: str | None

    @property
    def name(self) -> str:
        """Name of the release, such as `v18-mainnet`; with `.car` the name of its file."""
        return f"v{self.version}-{self.network}"

    @property
    def official_file_name(self) -> str:
        """Name of the file on the official download page, such as `builtin-actors-mainnet.car`."""
        return _file(self.network)


@cache
def releases() -> Mapping[str, Release]:
    """Return the releases by name, such as `v18-mainnet`, in the order of versions."""
    found = {}
    for version, entry in _load_releases()["versions"].items():
        for network, root in entry["manifest_roots"].items():
            release = Release(int(version.removeprefix("v")), network, root, _url(entry["tag"], network))
            found[release.name] = release
    return found


def unpinned_release(version: int, network: str, manifest_root: str) -> Release:
    """Return a release that is not pinned here, as described by the user who added its file."""
    return Release(version, network, manifest_root, None)


def _url(tag: str, network: str) -> str:
    url: str = _load_releases()["download"].format(tag=tag, network=network)
    return url


def _file(network: str) -> str:
    return _url("", network).rsplit("/", 1)[1]


@cache
def _load_releases() -> Any:
    return json.loads(files(__package__).joinpath("releases.json").read_text(encoding="utf-8"))
