"""Bundles by name: this project's own, official releases in the user's data folder, and files.

    own, own-v19, ...           the bundles in the wheel (`Bundle.embedded`)
    v18, v18-devnet             an official release that was fetched or added; v18 means v18-mainnet
    anything else, any Path     a CAR file

A release must have the manifest root that is pinned for it: in this package or, for newer releases, in the folder, by
the user who added the file under the release's name (`name_release`). `releases.json` has those shipped by Lotus for
its tags; versions 12 and 13 of the calibration network are omitted, because it ran special builds of them. All commands
and functions that accept a bundle use `Bundle.open` and so this module; `hypervisor bundle` adds files to the folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypervisor.builtin_actors.loader import bundle_record
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.errors import BundleError
from hypervisor.installation import exists, user_folder
from store.cid import Cid, CidError, parse_cid, show

DEFAULT_NETWORK: Final = "mainnet"
"""Network of a release that is named by its version alone, such as `v18`."""
FOLDER_VARIABLE: Final = "FVM_BUNDLE_DIR"
OWN: Final = "own"
_RELEASE_NAME: Final = re.compile(r"v[0-9]+(-[a-z0-9-]+)?", re.ASCII)
_FULL_NAME: Final = re.compile(r"v([1-9][0-9]{0,3})-([a-z0-9-]+)", re.ASCII)
_NAMED: Final = "named.json"
"""File in the folder that maps names of releases not pinned in this package to their manifest roots."""


class Release(NamedTuple):
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


def _url(tag: str, network: str) -> str:
    url: str = _load_releases()["download"].format(tag=tag, network=network)
    return url


def _file(network: str) -> str:
    return _url("", network).rsplit("/", 1)[1]


@cache
def _load_releases() -> Any:
    return json.loads(files("hypervisor.builtin_actors").joinpath("releases.json").read_text(encoding="utf-8"))


def is_release_name(text: str) -> bool:
    """Return True if a text has the form of a release name; other texts are file paths."""
    return _RELEASE_NAME.fullmatch(text) is not None


OWN_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
"""Valid name for a user's bundle."""

_UNPINNED: Final = "unpinned"
_VERSION: Final = re.compile(r"v\d", re.ASCII)


def library_folder() -> Path:
    """Return the folder of releases: $FVM_BUNDLE_DIR, else in the user's data folder. Raises BundleError."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        return user_folder("data") / "bundles"
    except RuntimeError:
        raise BundleError(f"no home folder to store bundles in; set {FOLDER_VARIABLE}") from None


def own_bundles() -> Mapping[str, str | None]:
    """Return the variant to pass to `Bundle.embedded` (None: the default) for each name of an own bundle."""
    return {OWN: None} | {f"{OWN}-{variant}": variant for variant in bundle_record().variants}


def known_releases() -> Mapping[str, Release]:
    """Return the releases pinned in this package and those named in the folder. Raises BundleError."""
    return {**_named_releases(), **releases()}


def _named_releases() -> dict[str, Release]:
    try:
        file = library_folder() / _NAMED
        text = file.read_text(encoding="utf-8") if exists(file) else "{}"
    except BundleError:  # no home folder
        return {}
    try:
        return {name: _release(name, root) for name, root in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError, BundleError) as error:
        raise BundleError(f"{file} is corrupt ({error}): delete it, and add the files of its releases again") from None


def _release(name: str, root: str) -> Release:
    found = _FULL_NAME.fullmatch(name)
    if found is None:
        raise BundleError(f"'{name}' is not a valid release name: expected a name such as v19-devnet")
    try:
        parse_cid(root)
    except CidError as error:
        raise BundleError(f"the manifest root {root!r:.80} of {name} is not a CID: {error}") from None
    return Release(int(found[1]), found[2], root, None)


def name_release(name: str, root: Cid) -> Release:
    """Record the manifest root of a release. Raises BundleError if the release is known with another root."""
    release, known = _release(name, show(root)), known_releases()
    before, same = known.get(name), release_of(root)
    if before is not None and before.manifest_root != release.manifest_root:
        raise BundleError(f"{name} is known with the manifest root {before.manifest_root}, not {show(root)}")
    if same is not None and same.name != name:
        raise BundleError(f"the manifest root {show(root)} is that of {same.name}, not of {name}")
    if before is None:
        roots = {each.name: each.manifest_root for each in _named_releases().values()} | {name: show(root)}
        file = library_folder() / _NAMED
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(roots, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, file)
    return release


def find_release(name: str, network: str | None = None) -> Release:
    """Return the release with this name. Raises BundleError.

    A name without a network, such as `v18`, means the release for `network` (default: mainnet).
    """
    version = name.partition("-")[0]
    wanted = name if name != version else f"{version}-{network or DEFAULT_NETWORK}"
    release = known_releases().get(wanted)
    if release is not None and network in (None, release.network):
        return release
    if release is not None:
        raise BundleError(f"'{name}' is not a release for {network}: omit the network, or use {version} alone")
    networks = [known.network for known in known_releases().values() if f"v{known.version}" == version]
    if networks:
        raise BundleError(f"unknown release '{wanted}': {version} is available for {', '.join(networks)}")
    versions = dict.fromkeys(f"v{known.version}" for known in releases().values())
    raise BundleError(f"unknown release '{wanted}': expected one of {', '.join(versions)}, as in v18 or v18-devnet")


def release_of(root: Cid) -> Release | None:
    """Return the release with this manifest root, or None."""
    text = show(root)
    return next((release for release in known_releases().values() if release.manifest_root == text), None)


def actors_version(manifest: Manifest) -> int | None:
    """Return the builtin-actors version of a manifest; None if it belongs neither to a release nor to an own bundle."""
    release = release_of(manifest.root)
    if release is not None:
        return release.version
    record = bundle_record()
    own = {record.manifest_data: record.version}
    own |= {variant.manifest_data: variant.version for variant in record.variants.values()}
    return own.get(show(manifest.data))


def build_record(manifest: Manifest) -> dict[str, Any] | None:
    """Return the build record of the embedded bundle or a variant; BundleError if it belongs to other code."""
    record = bundle_record()
    root = show(manifest.root)
    variant = next((entry for entry in record.variants.values() if entry.manifest_root == root), None)
    if variant is None and root != record.manifest_root:
        return None
    recorded = record.actors | ({} if variant is None else variant.actors)
    codes = {name: show(code) for name, code in zip(ACTOR_NAMES, manifest.codes, strict=True)}
    if {name: entry.cid for name, entry in recorded.items()} != codes:
        raise BundleError(f"the record of the bundle {root} names other code than its manifest: run `make bundle`")
    return {key: getattr(record, key) for key in ("source_hash", "compiler", "flags")}


def own_bundle_for(version: int) -> str | None:
    """Return the name of this project's own bundle with the newest methods of an actors version, or None."""
    record, variant = bundle_record(), f"v{version}"
    if variant in record.variants:
        return f"{OWN}-{variant}"
    return OWN if version == record.version else None


def release_file(release: Release) -> Path:
    """Return the path of a release's file, which need not exist."""
    return library_folder() / f"{release.name}.car"


def downloaded_releases() -> Mapping[str, Path]:
    """Return the files of releases in the folder, by name. Their content is not checked."""
    try:
        found = {name: release_file(release) for name, release in known_releases().items()}
    except BundleError:  # no home folder
        return {}
    return {name: path for name, path in found.items() if path.is_file()}


def unpinned_bundles() -> Mapping[str, Path]:
    """Return the users' own bundles in the folder, by name."""
    try:
        folder = library_folder() / _UNPINNED
        return {file.stem: file for file in sorted(folder.glob("*.car")) if OWN_NAME.fullmatch(file.stem)}
    except (BundleError, OSError):  # no home folder, or no such folder
        return {}


def unpinned_file(name: str) -> Path:
    """Return the path of a user's own bundle, which need not exist. Raises BundleError for a reserved name."""
    if not OWN_NAME.fullmatch(name) or name in own_bundles() or _VERSION.match(name):
        raise BundleError(
            f"'{name}' is not a valid bundle name: expected a letter, then letters, digits, - and _, at most 40, "
            "and not a reserved name such as own or v18"
        )
    return library_folder() / _UNPINNED / f"{name}.car"


def remedy(release: Release) -> str:
    """Return instructions to get a release, online and offline, in one sentence."""
    if release.url is None:
        return remedy_offline(release)
    return f"`hypervisor bundle fetch {release.name}` downloads it; offline, {remedy_offline(release)}"


def remedy_offline(release: Release) -> str:
    """Return instructions to get a release without a download."""
    return (
        f"get {release.official_file_name} (manifest root {release.manifest_root}) from "
        f"{release.url or 'where it came from'} on another machine and run `hypervisor bundle add FILE`"
    )
