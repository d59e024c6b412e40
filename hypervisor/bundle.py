"""Bundles of built-in actors: a manifest (`hypervisor.manifest`) and the code that it names, read from a CAR.

Layout: one root block `[1, CID of the data]`, a data block `[[name, code CID], ...]` in the network's order, and the
code.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypervisor.bundle_library import find_release, is_release_name, own_bundles, release_file, remedy
from hypervisor.errors import BundleError
from hypervisor.manifest import ACTOR_NAMES, Manifest
from hypervisor.user_files import read_bounded
from store.blockstore import BlockNotFound, StoreError
from store.car import read_car
from store.cid import Cid, show

MAX_BUNDLE_BYTES = 64 << 20
"""The longest CAR that is taken for a bundle; the official ones have 7 to 8 MB."""

MARKER_SECTION = "hypervisor.runtime"
"""The custom section by which a built-in actor's module names the runtime that executes it."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's blocks and manifest."""

    root: Cid
    manifest: Manifest
    blocks: tuple[tuple[Cid, bytes], ...]

    @classmethod
    def from_car(cls, data: bytes, name: str = "bundle") -> "Bundle":
        """Read and verify a CAR; BundleError names what is wrong with it."""
        from store.memory import MemoryStore

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
                raise BundleError(f"{name} lacks the code of {actor} ({show(code)})")
        return cls(reader.roots[0], manifest, blocks)

    @classmethod
    def open(cls, source: str | Path) -> "Bundle":
        """The bundle of a name (`v18`, `v18-devnet`, `own`) or of a CAR file; BundleError if it cannot be had.

        `hypervisor.bundle_library` has the names. A release whose manifest root is not the pinned one is refused.
        """
        if isinstance(source, str) and source in own_bundles():
            return cls.embedded(own_bundles()[source])
        if isinstance(source, Path) or not is_release_name(source):
            return cls.from_file(Path(source))
        release = find_release(source)
        path = release_file(release)
        if not path.is_file():
            raise BundleError(f"the release {release.name} is not on this machine: {remedy(release)}")
        bundle = cls.from_file(path)
        if show(bundle.root) != release.manifest_root:
            raise BundleError(
                f"{path} is not {release.name}: its manifest root is {show(bundle.root)}, not {release.manifest_root}; "
                f"delete it, and then: {remedy(release)}"
            )
        return bundle

    @classmethod
    def from_file(cls, path: Path) -> "Bundle":
        """Read a bundle from a CAR file; BundleError if it cannot be read."""
        return cls.from_car(read_bounded(path, MAX_BUNDLE_BYTES, "bundle", BundleError), f"bundle {path}")

    @classmethod
    def embedded(cls, variant: str | None = None) -> "Bundle":
        """This project's own bundle, which the wheel carries: actors v18, or a variant of them.

        `supply-share` is the one whose miners bind collateral by the rule of the VM Interpreter document, `v19` that of
        network version 29 (docs/actors.md). Raises BundleError for another variant.
        """
        return _embedded(variant)

    @classmethod
    def for_actors(cls, version: int) -> "Bundle":
        """This project's own bundle for networks whose built-in actors are of a version (`NetworkVersion.actors`).

        Actors v18 stand in for those before them. Raises BundleError for actors that this project does not have.
        """
        from actors.loader import bundle_record

        record, variant = bundle_record(), f"v{version}"
        if variant in record.variants:
            return cls.embedded(variant)
        if version > record.version:
            raise BundleError(f"this project has no built-in actors v{version} of its own: name a bundle")
        return cls.embedded()


@cache
def _embedded(variant: str | None) -> Bundle:
    """Read and verified once in a process: every machine begins with it."""
    from actors.loader import bundle_bytes, bundle_record

    if variant is None:
        return Bundle.from_car(bundle_bytes(), "the embedded bundle")
    if variant not in bundle_record().variants:
        known = ", ".join(bundle_record().variants)
        raise BundleError(f"the embedded bundle has no variant '{variant}': expected {known}")
    return Bundle.from_car(bundle_bytes(variant), f"the embedded bundle's variant {variant}")


def runtime_marker(module: bytes) -> str | None:
    """The runtime that a WASM module's marker section names, None where it has no such section."""
    for name, content in _custom_sections(module):
        if name == MARKER_SECTION:
            return content.decode("ascii", "replace")
    return None


def _custom_sections(module: bytes) -> Iterator[tuple[str, bytes]]:
    """The custom sections of a module, as far as it is well-formed; a broken module simply has no more."""
    from store.varint import VarintError, read_uvarint

    position = 8 if module[:4] == b"\0asm" else len(module)
    try:
        while position < len(module):
            section = module[position]
            size, body = read_uvarint(module, position + 1)
            position = body + size
            if section == 0 and position <= len(module):
                length, start = read_uvarint(module, body)
                yield module[start : start + length].decode("utf-8", "replace"), module[start + length : position]
    except VarintError:
        return
