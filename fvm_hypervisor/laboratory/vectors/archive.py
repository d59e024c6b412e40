"""Archives of vectors: a manifest with a digest of each file, the licences, and the vectors.

    NAME/manifest.json          counts, bundles, digests (`manifest_of`)
    NAME/README.md, LICENSE-*
    NAME/vectors/nv28/...       one vector per file

Equal files result in equal bytes: entries are sorted and have no timestamps or owners.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from hypervisor.errors import InvalidInput
from hypervisor.installation import read_bounded
from store.untrusted import MAX_UNPACKED_BYTES, gzip_bytes, parse_json

MANIFEST: Final = "manifest.json"
VECTORS: Final = "vectors"
_FORMAT: Final = 1
_MODE: Final = 0o644
_MAX_MANIFEST_BYTES: Final = 16 << 20


def manifest_of(
    facts: Mapping[str, Any], vectors: Mapping[str, Mapping[str, Any]], files: Mapping[str, bytes]
) -> bytes:
    """Return a manifest with `facts`, the number of vectors of each class and network version, and the files' digests.

    `vectors` and `files` are by path in the archive.
    """
    counts: dict[str, Counter[str]] = {}
    for vector in vectors.values():
        for variant in vector["preconditions"]["variants"]:
            counts.setdefault(f"nv{variant['nv']}", Counter())[vector["class"]] += 1
    digests = {path: {"size": len(data), "sha256": _digest(data)} for path, data in sorted(files.items())}
    manifest = {
        "format": _FORMAT,
        **facts,
        "vectors": len(vectors),
        "counts": {name: dict(sorted(classes.items())) for name, classes in sorted(counts.items())},
        "files": digests,
    }
    return json.dumps(manifest, indent=2).encode() + b"\n"


def archive_bytes(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the files as a compressed tar archive in the folder `name`."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(data), _MODE
            tar.addfile(entry, io.BytesIO(data))
    return gzip_bytes(plain.getvalue())


def is_archive(folder: Path) -> bool:
    """Return True for the folder of an unpacked archive."""
    return (folder / MANIFEST).is_file()


def verify_vectors(folder: Path) -> list[Path]:
    """Return the vectors of an unpacked archive, after a check of all files against its manifest.

    Raises InvalidInput that names the first file that is missing, altered or not in the manifest.
    """
    path = folder / MANIFEST
    files = _files_of(path)
    found = {file.relative_to(folder).as_posix() for file in (folder / VECTORS).rglob("*") if file.is_file()}
    unknown = sorted(found - files.keys())
    if unknown:
        raise InvalidInput(f"{folder / unknown[0]} is not in {path}: delete it, or name the folder {folder / VECTORS}")
    for name, expected in files.items():
        file = folder / name
        if not file.is_file():
            raise InvalidInput(f"{file} is missing, but {path} lists it: unpack the archive again")
        digest = _digest(read_bounded(file, MAX_UNPACKED_BYTES, "the file"))
        if digest != expected:
            raise InvalidInput(
                f"{file} is altered: its SHA-256 is {digest}, in {path} {expected}; unpack the archive again, or name "
                "the file itself to run it"
            )
    return [folder / name for name in sorted(found)]


def _files_of(path: Path) -> dict[str, str]:
    """Return the digests of a manifest by file. Raises InvalidInput."""
    try:
        manifest = parse_json(read_bounded(path, _MAX_MANIFEST_BYTES, "the manifest"))
        if manifest["format"] != _FORMAT:
            raise ValueError(f"its format is {manifest['format']!r:.20}, expected {_FORMAT}")
        files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not a manifest of vectors: {type(error).__name__}: {error}") from None
    outside = _first_outside_folder(files)
    if outside is not None:
        raise InvalidInput(f"{path} lists {outside!r:.100}, which is not a path in the archive")
    return files


def _first_outside_folder(names: Iterable[str]) -> str | None:
    """Return the first name that is not a relative path below the archive's folder."""
    return next((name for name in names if name.startswith("/") or ".." in Path(name).parts or "\\" in name), None)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
