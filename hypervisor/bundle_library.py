"""Bundles by name: this project's own, official releases in the user's data folder, files.

    own, own-v19, ...           what the wheel carries (`Bundle.embedded`)
    v18, v18-devnet             an official release (`actors.releases`) that was fetched or added; v18 is v18-mainnet
    anything else, any Path     a CAR file

A release counts only with the manifest root that is pinned for it. Wherever a bundle can be chosen, `Bundle.open` is
asked, and so this module; `hypervisor bundle` puts files into the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from actors.loader import bundle_record
from actors.releases import DEFAULT_NETWORK, Release, releases
from hypervisor.bundle import Bundle, Manifest
from hypervisor.errors import BundleError
from hypervisor.user_files import user_folder
from store.cid import Cid, show

FOLDER_VARIABLE: Final = "FVM_BUNDLE_DIR"
OWN: Final = "own"
_RELEASE_NAME: Final = re.compile(r"v[0-9]+(-[a-z0-9-]+)?", re.ASCII)


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


def find_release(name: str, network: str | None = None) -> Release:
    """The release that a name means; `v18` is that of `network` (default: mainnet). BundleError if there is none."""
    version = name.partition("-")[0]
    wanted = name if name != version else f"{version}-{network or DEFAULT_NETWORK}"
    release = releases().get(wanted)
    if release is not None and network in (None, release.network):
        return release
    if release is not None:
        raise BundleError(f"'{name}' is not a release for {network}: leave the network out, or name {version} alone")
    networks = [known.network for known in releases().values() if f"v{known.version}" == version]
    if networks:
        raise BundleError(f"there is no release '{wanted}': {version} is known for {', '.join(networks)}")
    versions = dict.fromkeys(f"v{known.version}" for known in releases().values())
    raise BundleError(f"there is no release '{wanted}': known are {', '.join(versions)}, as in v18 or v18-devnet")


def release_of(root: Cid) -> Release | None:
    """The release with this manifest root."""
    text = show(root)
    return next((release for release in releases().values() if release.manifest_root == text), None)


def actors_version(manifest: Manifest) -> int | None:
    """The version of builtin-actors that a manifest is of; None for one that is neither a release nor our own."""
    release = release_of(manifest.root)
    if release is not None:
        return release.version
    record = bundle_record()
    own = {record.manifest_data: record.version}
    own |= {variant.manifest_data: variant.version for variant in record.variants.values()}
    return own.get(show(manifest.data))


def release_file(release: Release) -> Path:
    """Where the file of a release is, or would be."""
    return library_folder() / f"{release.name}.car"


def kept_releases() -> Mapping[str, Path]:
    """The files that are in the folder, by the names of their releases. Their content is not looked at."""
    try:
        found = {name: release_file(release) for name, release in releases().items()}
    except BundleError:  # no home: nothing is kept there
        return {}
    return {name: path for name, path in found.items() if path.is_file()}


def open_bundle(source: str | Path) -> Bundle:
    """The bundle that somebody chose, by a name or by a CAR file's path. BundleError says what is wrong, what to do."""
    if isinstance(source, str) and source in own_bundles():
        return Bundle.embedded(own_bundles()[source])
    if isinstance(source, Path) or not _RELEASE_NAME.fullmatch(source):
        return Bundle.from_file(Path(source))
    release = find_release(source)
    path = release_file(release)
    if not path.is_file():
        raise BundleError(f"the release {release.name} is not on this machine: {remedy(release)}")
    bundle = Bundle.from_file(path)
    if show(bundle.root) != release.manifest_root:
        raise BundleError(
            f"{path} is not {release.name}: its manifest root is {show(bundle.root)}, not {release.manifest_root}; "
            f"delete it, and then: {remedy(release)}"
        )
    return bundle


def remedy(release: Release) -> str:
    """How somebody gets a release, online and offline, in one sentence."""
    return f"`hypervisor bundle fetch {release.name}` downloads it; offline, {remedy_offline(release)}"


def remedy_offline(release: Release) -> str:
    """How somebody gets a release whose download does not work here."""
    return (
        f"get {release.published_as} (manifest root {release.manifest_root}) from {release.url} on another machine and "
        "run `hypervisor bundle add FILE`"
    )
