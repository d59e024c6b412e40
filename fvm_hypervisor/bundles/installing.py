"""Installation of releases in the user's folder, from the network or a file. Incomplete files are never installed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from fvm_hypervisor.download import DownloadFailed, download
from hypervisor.builtin_actors.loader import Release
from hypervisor.bundles.bundle import MAX_BUNDLE_BYTES, Bundle
from hypervisor.bundles.bundle_library import (
    library_folder,
    name_release,
    release_file,
    release_of,
    remedy_offline,
    unpinned_file,
)
from hypervisor.errors import BundleError
from store.car.files import write_car
from store.cid import show

if sys.platform != "win32":
    import fcntl

_TEMPORARY: Final = ".new"
_MAX_TEMPORARY_AGE: Final = 600.0
"""Age in seconds at which a temporary file is deleted. Writing a bundle of a few megabytes takes much less."""


def fetch(release: Release, url: str | None = None, progress: Callable[[int], None] | None = None) -> Path | None:
    """Download a release, from `url` if given; return its file, or None if it is already in the folder.

    The file's manifest must be the pinned one, whatever the URL. Raises BundleError for other contents, which are
    deleted, and DownloadFailed for an incomplete download, which the next attempt resumes.
    """
    source = url or release.url
    if source is None:
        raise BundleError(f"the download URL of {release.name} is unknown: pass it with --from URL")
    path = release_file(release)
    part = path.with_name(path.name + ".part")
    with _reporting_write_errors(path.parent):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _reporting_write_errors(path.parent), _folder_lock(path.parent):
        _delete_old_temporaries(path.parent)
        if _is_installed(release):
            return None
        resumed = part.exists()
        try:
            _download(release, source, part, progress)
        except BundleError:
            if not resumed:
                raise
            _download(release, source, part, progress)  # the resumed part may belong to another file
        os.replace(part, path)
    return path


def add(path: Path, name: str | None = None) -> tuple[Release, Path]:
    """Install a release from a file; return the release and its installed file.

    `name` is the release's name, required if its manifest root is not pinned here; the root is recorded. Raises
    BundleError for a damaged or incomplete file, and for an unknown root without a name.
    """
    bundle = Bundle.from_file(path)
    release = release_of(bundle.root)
    if release is None and name is None:
        raise BundleError(
            f"bundle {path} is not a known release (manifest root {show(bundle.root)}): it can be used by "
            f"its path, `--bundle {path}`, or be added under the name of a release, `--as v19-devnet`"
        )
    _check_no_extra_blocks(bundle, str(path))
    folder = library_folder()
    with _reporting_write_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if name is not None:
            release = name_release(name, bundle.root)
    assert release is not None, "it has a name, or its root is known"
    target = release_file(release)
    with _reporting_write_errors(target.parent):
        _write_bundle(bundle, target)
    return release, target


def add_unpinned(path: Path, name: str) -> tuple[str, Path]:
    """Add a bundle under a user-defined name, replacing an existing one; return its manifest root and file.

    Raises BundleError for a damaged or incomplete file, and for a name that is reserved.
    """
    bundle, target = Bundle.from_file(path), unpinned_file(name)
    _check_no_extra_blocks(bundle, str(path))
    with _reporting_write_errors(target.parent):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_bundle(bundle, target)
    return show(bundle.root), target


def _write_bundle(bundle: Bundle, target: Path) -> None:
    _delete_old_temporaries(target.parent)
    handle, name = mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=_TEMPORARY)
    try:
        with open(handle, "wb") as file:
            write_car(file, [bundle.root], bundle.blocks)
            file.flush()
            os.fsync(handle)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _delete_old_temporaries(folder: Path) -> None:
    """Delete old partial files of killed processes; recent ones may still be in use."""
    for draft in folder.glob(f"*.car.*{_TEMPORARY}"):
        with suppress(FileNotFoundError):  # another process was faster
            if time.time() - draft.stat().st_mtime > _MAX_TEMPORARY_AGE:
                draft.unlink()


def _is_installed(release: Release) -> bool:
    if not release_file(release).is_file():
        return False
    try:
        Bundle.open(release.name)
    except BundleError:  # damaged: it is replaced
        return False
    return True


def _download(release: Release, url: str, part: Path, progress: Callable[[int], None] | None) -> None:
    """Download into `part` and verify it; invalid contents are deleted."""
    try:
        download(url, part, MAX_BUNDLE_BYTES, progress)
    except DownloadFailed as error:
        raise DownloadFailed(
            f"{error}; try again (the download continues where it stopped), or {remedy_offline(release)}"
        ) from None
    try:
        bundle = Bundle.from_file(part)
        if show(bundle.root) != release.manifest_root:
            raise BundleError(
                f"{url} is not {release.name}: its manifest root is {show(bundle.root)}, not {release.manifest_root}"
            )
        _check_no_extra_blocks(bundle, url)
    except BundleError as error:
        part.unlink()
        raise BundleError(f"the download from {url} is rejected: {error}") from None
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _check_no_extra_blocks(bundle: Bundle, name: str) -> None:
    """Raise BundleError for a CAR with extra blocks, which would end up in the folder of every new chain."""
    wanted = {bundle.root, bundle.manifest.data, *bundle.manifest.codes}
    more = [cid for cid, _ in bundle.blocks if cid not in wanted]
    if more:
        raise BundleError(f"{name} has {len(more)} blocks that are not in its manifest, such as {show(more[0])}")


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Lock a folder for a download: a second process waits, and then uses the first one's file."""
    if sys.platform == "win32":  # no such lock: concurrent downloads corrupt their part and fail the check
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _reporting_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise BundleError(
            f"the folder of bundles, {library_folder()}, cannot be written: {where}: {error.strerror}"
        ) from None
