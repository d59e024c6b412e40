"""Official bundles in the user's folder, copies of a bundle with other actors, and descriptions of bundles.

Releases are installed from the network or a file; incomplete files are never installed.
`hypervisor.bundles.bundle_library` resolves names to files.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Final

from hypervisor.bundles.bundle import MAX_BUNDLE_BYTES, Bundle, runtime_marker
from hypervisor.bundles.bundle_library import (
    Release,
    build_record,
    library_folder,
    name_release,
    release_file,
    release_of,
    remedy_offline,
    unpinned_file,
)
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import BundleError, InvalidInput, InvalidModule
from hypervisor.installation import read_bounded
from hypervisor.machine.registry import NATIVE, Registry, RuntimeServices
from runtimes.wasm import ExternKind, parse_module, validate_module
from store.car.files import write_car
from store.cid import DAG_CBOR, RAW, Cid, cid_of, show
from store.codec import encode, link

if sys.platform != "win32":
    import fcntl

_MANIFEST_VERSION: Final = 1
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
    from hypervisor_tools.download import DownloadFailed, download  # it loads an HTTP client

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


def modules_in(folder: Path) -> dict[str, bytes]:
    """Read the modules in a folder by file name without `.wasm`. Raises BundleError if there are none."""
    try:
        files = sorted(folder.glob("*.wasm"))
    except OSError as error:
        raise BundleError(f"the folder {folder} cannot be read: {error.strerror}") from None
    if not files:
        raise BundleError(f"{folder} has no modules: expected files such as datacap.wasm, named after their actors")
    return {file.stem: read_bounded(file, MAX_BUNDLE_BYTES, "module", BundleError) for file in files}


def make(modules: Mapping[str, bytes], base: Bundle | None = None) -> bytes:
    """Return the CAR of a bundle with `modules` by actor name; the modules of other actors come from `base`.

    Raises BundleError in the same cases as `build`, and if modules are missing and there is no base.
    """
    missing = [name for name in ACTOR_NAMES if name not in modules]
    if missing and base is None:
        raise BundleError(
            f"modules of {len(missing)} of {len(ACTOR_NAMES)} actors are missing: {', '.join(missing)}; take them from "
            "another bundle with --base, as in --base own-v19"
        )
    return build(base or Bundle.embedded(), modules)


def build(base: Bundle, modules: Mapping[str, bytes]) -> bytes:
    """Return the CAR of a copy of `base` with the modules of some actors replaced, by actor name.

    Raises BundleError for an unknown actor name and for a module that fails validation.
    """
    for name, module in modules.items():
        if name not in ACTOR_NAMES:
            raise BundleError(f"a bundle has no actor '{name}': expected one of {', '.join(ACTOR_NAMES)}")
        try:
            validate_module(parse_module(module))
        except InvalidInput as error:
            raise BundleError(f"the module for {name} cannot run: {error}") from None
    content = dict(base.blocks)
    codes: dict[Cid, bytes] = {}
    rows = []
    for name, code in zip(ACTOR_NAMES, base.manifest.codes, strict=True):
        module = modules.get(name, content[code])
        own = cid_of(module, RAW)
        codes[own] = module
        rows.append([name, link(own)])
    data = encode(rows)
    root = encode([_MANIFEST_VERSION, link(cid_of(data, DAG_CBOR))])
    blocks = [(cid_of(root, DAG_CBOR), root), (cid_of(data, DAG_CBOR), data), *codes.items()]
    car = io.BytesIO()
    write_car(car, [blocks[0][0]], blocks)
    return car.getvalue()


def describe(bundle: Bundle) -> dict[str, Any]:
    """Describe a bundle's manifest and its actors in manifest order; sizes are in bytes.

    `release` is the name of the matching official release, and `record` describes how one of our own bundles was
    built; otherwise both are None. Raises BundleError for code that is not WebAssembly.
    """
    release = release_of(bundle.root)
    modules = dict(bundle.blocks)
    return {
        "manifest_root": show(bundle.root),
        "manifest_data": show(bundle.manifest.data),
        "release": None if release is None else release.name,
        "size": sum(len(block) for _, block in bundle.blocks),
        "actors": [
            {"type": number, "name": name, "code": show(code)} | _module(name, modules[code])
            for number, (name, code) in enumerate(zip(ACTOR_NAMES, bundle.manifest.codes, strict=True), 1)
        ],
        "record": build_record(bundle.manifest),
    }


def check_modules(bundle: Bundle) -> None:
    """Validate each module with the machine's checks. Raises BundleError with the name of the rejected actor."""
    modules = dict(bundle.blocks)
    registry = Registry(RuntimeServices(), {})
    for name, code in zip(ACTOR_NAMES, bundle.manifest.codes, strict=True):
        _, runtime = registry.runtime_for(code)
        try:
            runtime.prepare({code: modules[code]})
        except InvalidModule as error:
            raise BundleError(f"the code of {name} ({show(code)}) is refused: {error}") from None


def _module(name: str, code: bytes) -> dict[str, Any]:
    try:
        module = parse_module(code)
    except InvalidModule as error:
        raise BundleError(f"the code of {name} is not a WASM module: {error}") from None
    imports = [f"{entry.module}.{entry.name}" for entry in module.imported_functions]
    exports = [export.name for export in module.exports if export.kind == ExternKind.FUNCTION]
    return {
        "size": len(code),
        "runtime": runtime_marker(code) or NATIVE,
        "imports": sorted(imports),
        "exports": sorted(exports),
    }
