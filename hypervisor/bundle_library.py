"""Bundles by name: this project's own, official releases in the user's data folder, files.

    own, own-v19, ...           what the wheel carries (`Bundle.embedded`)
    v18, v18-devnet             an official release (`fvm_hypervisor.builtin_actors.releases`) that was fetched or
    added; v18 is v18-mainnet anything else, any Path     a CAR file

A release counts only with the manifest root that is pinned for it: in this package, or for newer ones in the folder, by
the person who added the file under the release's name (`name_release`). Wherever a bundle can be chosen, `Bundle.open`
is asked, and so this module; `hypervisor bundle` puts files into the folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fvm_hypervisor.builtin_actors.loader import bundle_record
from fvm_hypervisor.builtin_actors.releases import DEFAULT_NETWORK, Release, release_elsewhere, releases
from hypervisor.errors import BundleError
from hypervisor.manifest import Manifest
from hypervisor.user_files import user_folder
from store.cid import Cid, CidError, parse_cid, show

FOLDER_VARIABLE: Final = "FVM_BUNDLE_DIR"
OWN: Final = "own"
_RELEASE_NAME: Final = re.compile(r"v[0-9]+(-[a-z0-9-]+)?", re.ASCII)
_WHOLE_NAME: Final = re.compile(r"v([1-9][0-9]{0,3})-([a-z0-9-]+)", re.ASCII)
_NAMED: Final = "named.json"
"""In the folder: the manifest roots of releases that are not pinned in this package, by their names."""


def is_release_name(text: str) -> bool:
    """Whether a text has the form of a release's name; anything else is a file's path."""
    return _RELEASE_NAME.fullmatch(text) is not None


OWN_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
"""A name that users may give a bundle."""

_UNPINNED: Final = "unpinned"
_VERSION: Final = re.compile(r"v\d", re.ASCII)


def library_folder() -> Path:
    """Where releases are kept: $FVM_BUNDLE_DIR, else the user's data folder. BundleError where there is no home."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        return user_folder("data") / "bundles"
    except RuntimeError:
        raise BundleError(f"there is no home folder to keep bundles in: set {FOLDER_VARIABLE}") from None


def own_bundles() -> Mapping[str, str | None]:
    """The names of this project's own bundles, each with what `Bundle.embedded` takes."""
    return {OWN: None} | {f"{OWN}-{variant}": variant for variant in bundle_record().variants}


def known_releases() -> Mapping[str, Release]:
    """The releases that are pinned in this package, and those that were named in the folder. Raises BundleError."""
    return {**_named_releases(), **releases()}


def _named_releases() -> dict[str, Release]:
    try:
        file = library_folder() / _NAMED
        text = file.read_text(encoding="utf-8") if file.is_file() else "{}"
    except BundleError:  # no home: nothing was named there
        return {}
    try:
        return {name: _release(name, root) for name, root in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError, BundleError) as error:
        raise BundleError(f"{file} is damaged ({error}): delete it, and add the files of its releases again") from None


def _release(name: str, root: str) -> Release:
    found = _WHOLE_NAME.fullmatch(name)
    if found is None:
        raise BundleError(f"'{name}' is not the name of a release: expected one like v19-devnet")
    try:
        parse_cid(root)
    except CidError as error:
        raise BundleError(f"the manifest root {root!r:.80} of {name} is not a CID: {error}") from None
    return release_elsewhere(int(found[1]), found[2], root)


def name_release(name: str, root: Cid) -> Release:
    """Take a manifest root for that of a release from now on. Raises BundleError for one that has another one."""
    release, known = _release(name, show(root)), known_releases()
    before, same = known.get(name), release_of(root)
    if before is not None and before.manifest_root != release.manifest_root:
        raise BundleError(f"{name} is known with the manifest root {before.manifest_root}, not {show(root)}")
    if same is not None and same.name != name:
        raise BundleError(f"the manifest root {show(root)} is that of {same.name}, not of {name}")
    if before is None:
        roots = {known.name: known.manifest_root for known in _named_releases().values()} | {name: show(root)}
        file = library_folder() / _NAMED
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(roots, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, file)
    return release


def find_release(name: str, network: str | None = None) -> Release:
    """The release that a name means; `v18` is that of `network` (default: mainnet). BundleError if there is none."""
    version = name.partition("-")[0]
    wanted = name if name != version else f"{version}-{network or DEFAULT_NETWORK}"
    release = known_releases().get(wanted)
    if release is not None and network in (None, release.network):
        return release
    if release is not None:
        raise BundleError(f"'{name}' is not a release for {network}: leave the network out, or name {version} alone")
    networks = [known.network for known in known_releases().values() if f"v{known.version}" == version]
    if networks:
        raise BundleError(f"there is no release '{wanted}': {version} is known for {', '.join(networks)}")
    versions = dict.fromkeys(f"v{known.version}" for known in releases().values())
    raise BundleError(f"there is no release '{wanted}': known are {', '.join(versions)}, as in v18 or v18-devnet")


def release_of(root: Cid) -> Release | None:
    """The release with this manifest root."""
    text = show(root)
    return next((release for release in known_releases().values() if release.manifest_root == text), None)


def actors_version(manifest: Manifest) -> int | None:
    """The version of builtin-actors that a manifest is of; None for one that is neither a release nor our own."""
    release = release_of(manifest.root)
    if release is not None:
        return release.version
    record = bundle_record()
    own = {record.manifest_data: record.version}
    own |= {variant.manifest_data: variant.version for variant in record.variants.values()}
    return own.get(show(manifest.data))


def own_of(version: int) -> str | None:
    """The name of this project's own set that has the newest methods of actors of a version."""
    record, variant = bundle_record(), f"v{version}"
    if variant in record.variants:
        return f"{OWN}-{variant}"
    return OWN if version == record.version else None


def release_file(release: Release) -> Path:
    """Where the file of a release is, or would be."""
    return library_folder() / f"{release.name}.car"


def downloaded_releases() -> Mapping[str, Path]:
    """The files that are in the folder, by the names of their releases. Their content is not looked at."""
    try:
        found = {name: release_file(release) for name, release in known_releases().items()}
    except BundleError:  # no home: nothing is kept there
        return {}
    return {name: path for name, path in found.items() if path.is_file()}


def unpinned_bundles() -> Mapping[str, Path]:
    """The users' own bundles that are in the folder, by the names that they were given."""
    try:
        folder = library_folder() / _UNPINNED
        return {file.stem: file for file in sorted(folder.glob("*.car")) if OWN_NAME.fullmatch(file.stem)}
    except (BundleError, OSError):  # no home, or no folder: nothing is kept there
        return {}


def unpinned_file(name: str) -> Path:
    """Where a user's own bundle is, or would be. BundleError for a name that means something else."""
    if not OWN_NAME.fullmatch(name) or name in own_bundles() or _VERSION.match(name):
        raise BundleError(
            f"'{name}' cannot be the name of a bundle: expected a letter, then letters, digits, - and _, at most 40, "
            "not one of this project's or of a release, as own or v18"
        )
    return library_folder() / _UNPINNED / f"{name}.car"


def remedy(release: Release) -> str:
    """How a user gets a release, online and offline, in one sentence."""
    if release.url is None:
        return remedy_offline(release)
    return f"`hypervisor bundle fetch {release.name}` downloads it; offline, {remedy_offline(release)}"


def remedy_offline(release: Release) -> str:
    """How a user gets a release whose download does not work here."""
    return (
        f"get {release.published_as} (manifest root {release.manifest_root}) from "
        f"{release.url or 'where it came from'} on another machine and run `hypervisor bundle add FILE`"
    )
