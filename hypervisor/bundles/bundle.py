"""Bundles of built-in actors: a manifest (`hypervisor.bundles.manifest`) and the code that it names, read from a CAR.

Layout: one root block `[1, CID of the data]`, a data block `[[name, code CID], ...]` in the network's order, and the
code.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypervisor.bundles.bundle_library import (
    downloaded_releases,
    find_release,
    is_release_name,
    own_bundles,
    release_file,
    remedy,
    unpinned_bundles,
)
from hypervisor.bundles.manifest import ACTOR_NAMES, Manifest
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.installation import exists, read_bounded
from hypervisor.text import cid_text, one_line
from hypervisor.versions.network_versions import MachineRules
from store.blockstore import BlockNotFound, StoreError
from store.car.files import read_car
from store.cid import Cid, show

MAX_BUNDLE_BYTES = 64 << 20
"""Maximum size of a bundle's CAR in bytes; official bundles have 7 to 8 MB."""

_WASM_HEADER = b"\0asm\1\0\0\0"

MARKER_SECTION = "hypervisor.runtime"
"""Name of the custom section in which a built-in actor's module names its runtime."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle of built-in actors: its root, its manifest of 16 names and code CIDs, and the blocks of their code.

    Each constructor raises BundleError, with the remedy, if the bundle is not available.

    >>> from hypervisor import Bundle
    >>> bundle = Bundle.embedded()
    >>> bundle.manifest.name_of(bundle.manifest.code("reward"))
    'reward'
    >>> Bundle.open("missing.car")
    Traceback (most recent call last):
        ...
    hypervisor.errors.BundleError: bundle missing.car cannot be read: No such file or directory
    """

    root: Cid
    manifest: Manifest
    blocks: tuple[tuple[Cid, bytes], ...]

    def __repr__(self) -> str:
        return one_line("Bundle", f"{len(self.manifest.codes)} actors", cid_text(self.root))

    @classmethod
    def from_car(cls, data: bytes, name: str = "bundle") -> "Bundle":
        """Read and verify a CAR. Raises BundleError."""
        from store.blocks.memory import MemoryStore

        store = MemoryStore()
        try:
            reader = read_car(io.BytesIO(data))
            blocks = tuple(reader)
            store.put_many(blocks)
            if len(reader.roots) != 1:
                raise BundleError(f"{name} has {len(reader.roots)} roots, 1 expected")
            manifest = Manifest.load_root(store, reader.roots[0])
        except BlockNotFound as error:
            raise BundleError(f"{name} is incomplete: {error}") from None
        except StoreError as error:
            raise BundleError(f"{name} is not a readable CAR: {error}") from None
        for actor, code in zip(ACTOR_NAMES, manifest.codes, strict=True):
            if not store.has(code):
                raise BundleError(f"{name} has no code for {actor} ({show(code)})")
        return cls(reader.roots[0], manifest, blocks)

    @classmethod
    def open(cls, source: str | Path) -> "Bundle":
        """Open a bundle by name (`v18`, `v18-devnet`, `own`, or a user's) or from a CAR file. Raises BundleError.

        Names are resolved by `hypervisor.bundles.bundle_library`. A release whose manifest root differs from the pinned
        one is rejected.
        """
        if isinstance(source, str) and source in own_bundles():
            return cls.embedded(own_bundles()[source])
        if isinstance(source, str) and source in (unpinned := unpinned_bundles()):
            return cls.from_file(unpinned[source])
        if isinstance(source, Path) or not is_release_name(source):
            return cls.from_file(Path(source))
        release = find_release(source)
        path = release_file(release)
        if not exists(path):
            raise BundleError(f"the release {release.name} is not downloaded: {remedy(release)}")
        bundle = cls.from_file(path)
        if show(bundle.root) != release.manifest_root:
            raise BundleError(
                f"{path} is not {release.name}: its manifest root is {show(bundle.root)}, not {release.manifest_root}; "
                f"delete it, then: {remedy(release)}"
            )
        return bundle

    def modules_under(self, manifest: Manifest) -> Iterator[tuple[Cid, bytes]]:
        """Iterate over this bundle's modules under the code CIDs of another manifest, so that roots stay comparable."""
        modules = dict(self.blocks)
        for code, other in zip(manifest.codes, self.manifest.codes, strict=True):
            yield code, modules[other]

    @classmethod
    def from_file(cls, path: Path) -> "Bundle":
        """Read a bundle from a CAR file. Raises BundleError."""
        return cls.from_car(read_bounded(path, MAX_BUNDLE_BYTES, "bundle", BundleError), f"bundle {path}")

    @classmethod
    def embedded(cls, variant: str | None = None) -> "Bundle":
        """Return this project's own bundle, which is part of the wheel: actors v18, or a variant.

        `supply-share` is the variant whose miners bind collateral by the rule of the VM Interpreter document, `v19`
        that of network version 29; the init actors of `m2-native` and `v19-m2-native` install code (docs/actors.md).
        Raises BundleError for an unknown variant.
        """
        return _embedded(variant)

    @classmethod
    def for_actors(cls, version: int, rules: MachineRules | None = None) -> "Bundle":
        """Return this project's own bundle for a version of the built-in actors (`NetworkVersion.actors`).

        If the rules allow installing code, its init actor supports that. Versions before 18 use actors v18. Raises
        BundleError for versions that this project does not have.
        """
        from hypervisor.builtin_actors.loader import bundle_record

        record = bundle_record()
        if version > record.version and f"v{version}" not in record.variants:
            raise BundleError(f"this project does not include built-in actors v{version}; pass a bundle")
        parts = [f"v{version}"] if f"v{version}" in record.variants else []
        parts += ["m2-native"] if rules is not None and rules.installs_code else []
        return cls.embedded("-".join(parts) or None)


@cache
def _embedded(variant: str | None) -> Bundle:
    """Read and verify an embedded bundle once per process, since every machine starts with it."""
    from hypervisor.builtin_actors.loader import bundle_bytes, bundle_record

    if variant is None:
        return Bundle.from_car(bundle_bytes(), "the embedded bundle")
    if variant not in bundle_record().variants:
        known = ", ".join(bundle_record().variants)
        raise BundleError(f"the embedded bundle has no variant '{variant}': expected {known}")
    return Bundle.from_car(bundle_bytes(variant), f"the embedded bundle's variant {variant}")


def manifest_with(code: Cid) -> Manifest | None:
    """Return the manifest that contains this code, from our own bundles and those in the user's folder."""
    for variant in own_bundles().values():
        embedded = Bundle.embedded(variant)
        if code in embedded.manifest.codes:
            return embedded.manifest
    for path in downloaded_releases().values():
        found = Bundle.from_file(path).manifest
        if code in found.codes:
            return found
    return None


def runtime_marker(module: bytes) -> str | None:
    """Return the runtime named in a WASM module's marker section, or None if it has none."""
    content = custom_section(module, MARKER_SECTION)
    return None if content is None else content.decode("ascii", "replace")


def custom_section(module: bytes, name: str) -> bytes | None:
    """Return the content of a WASM module's first custom section with this name, or None if it has none."""
    return next((content for found, content in _custom_sections(module) if found == name), None)


def check_sections(module: bytes) -> None:
    """Raise InvalidInput unless a WASM module consists of whole sections. Their contents are not checked."""
    try:
        for _ in _sections(module):
            pass
    except ValueError as error:
        raise InvalidInput(f"the file is not a WASM module: {error}") from None


def _custom_sections(module: bytes) -> Iterator[tuple[str, bytes]]:
    """Iterate over the custom sections of a module, up to the first malformed one."""
    try:
        for number, start, end in _sections(module):
            if number == 0:
                length, name = _u32(module, start)
                yield module[name : name + length].decode("utf-8", "replace"), module[name + length : end]
    except ValueError:
        return


def _sections(module: bytes) -> Iterator[tuple[int, int, int]]:
    """Iterate over the number, start and end of a module's sections. Raises ValueError at a malformed one."""
    if module[:8] != _WASM_HEADER:
        raise ValueError(f"it starts with 0x{module[:8].hex()}, not 0x{_WASM_HEADER.hex()}")
    position = len(_WASM_HEADER)
    while position < len(module):
        size, start = _u32(module, position + 1)
        if start + size > len(module):
            raise ValueError(f"offset {start}: the section has {size} bytes, but {len(module) - start} are left")
        yield module[position], start, start + size
        position = start + size


def _u32(module: bytes, position: int) -> tuple[int, int]:
    """Return an integer of WASM, at most five bytes of LEB128 that may be padded, and the offset after it."""
    value = 0
    for index, byte in enumerate(module[position : position + 5]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError(f"offset {position}: the size of a section is incomplete or longer than five bytes")
