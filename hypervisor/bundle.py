"""Bundles of built-in actors: the manifest that names each actor's code, read from a CAR.

Layout: one root block `[1, CID of the data]`, a data block `[[name, code CID], ...]` in the network's order, and the
code. A manifest of this machine always has the 16 official names in their order, since type numbers are places in it.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from hypervisor.errors import BundleError
from hypervisor.user_files import read_bounded
from store.blockstore import BlockNotFound, Blockstore, StoreError
from store.car import read_car
from store.cid import Cid, cid_of, show
from store.codec import CodecError, decode, encode, link, unlink

ACTOR_NAMES = (
    "system", "init", "cron", "account", "storagepower", "storageminer", "storagemarket", "paymentchannel",
    "multisig", "reward", "verifiedregistry", "datacap", "placeholder", "evm", "eam", "ethaccount",
)  # fmt: skip
ACCOUNT_TYPES = ("account", "placeholder", "ethaccount")
"""The actors that send messages, and the one that becomes such."""
_MANIFEST_VERSION = 1
MAX_BUNDLE_BYTES = 64 << 20
"""The longest CAR that is taken for a bundle; the official ones have 7 to 8 MB."""

MARKER_SECTION = "hypervisor.runtime"
"""The custom section by which a built-in actor's module names the runtime that executes it."""


@dataclass(frozen=True)  # no slots: what is looked up again and again is kept
class Manifest:
    """The built-in actors' code CIDs by name; `data` is the CID of the list itself, which the system actor holds."""

    data: Cid
    codes: tuple[Cid, ...]

    @classmethod
    def load(cls, store: Blockstore, data: Cid) -> "Manifest":
        """Read the list of names and code CIDs; BundleError if it is not the official 16 in order."""
        try:
            entries = [(name, unlink(code)) for name, code in decode(store.get(data))]
        except (CodecError, TypeError, ValueError) as error:
            raise BundleError(f"manifest {show(data)} is not a list of names and code CIDs: {error}") from None
        names = tuple(name for name, _ in entries)
        if names != ACTOR_NAMES:
            missing = ", ".join(name for name in ACTOR_NAMES if name not in names) or "none, but the order differs"
            raise BundleError(
                f"manifest {show(data)} lists {len(names)} actors, {len(ACTOR_NAMES)} expected (missing: {missing})"
            )
        return cls(data, tuple(code for _, code in entries))

    @classmethod
    def load_root(cls, store: Blockstore, root: Cid) -> "Manifest":
        """Read a bundle's root block, then its list."""
        try:
            fields = decode(store.get(root))
            version, data = fields
            cid = unlink(data)
        except (CodecError, TypeError, ValueError) as error:
            raise BundleError(f"bundle root {show(root)} is not a pair of version and CID: {error}") from None
        if version != _MANIFEST_VERSION:
            raise BundleError(
                f"bundle root {show(root)} has manifest version {version!r:.40}, only {_MANIFEST_VERSION} is known"
            )
        return cls.load(store, cid)

    @property
    def root(self) -> Cid:
        """The root of a bundle with this list: what a release is known by."""
        return cid_of(encode([_MANIFEST_VERSION, link(self.data)]))

    def code(self, name: str) -> Cid:
        """The code CID of a built-in actor by its name."""
        return self._by_name[name]

    @cached_property
    def account_codes(self) -> frozenset[Cid]:
        """The code CIDs of those that send messages, and of placeholders, which become such."""
        return frozenset(self._by_name[name] for name in ACCOUNT_TYPES)

    @cached_property
    def _by_code(self) -> dict[Cid, str]:
        return dict(reversed([*zip(self.codes, ACTOR_NAMES, strict=True)]))

    @cached_property
    def _by_name(self) -> dict[str, Cid]:
        return dict(zip(ACTOR_NAMES, self.codes, strict=True))

    def type_of(self, code: Cid) -> int:
        """The type number (place from 1) of a code CID; 0 if it is no built-in actor's."""
        return self.codes.index(code) + 1 if code in self.codes else 0

    def code_of_type(self, number: int) -> Cid | None:
        """The code CID at a place counted from 1."""
        return self.codes[number - 1] if 1 <= number <= len(self.codes) else None

    def name_of(self, code: Cid) -> str | None:
        """The built-in actor's name behind a code CID (the first of them where several share one)."""
        return self._by_code.get(code)


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

        `hypervisor.bundle_library` has the names.
        """
        from hypervisor.bundle_library import open_bundle

        return open_bundle(source)

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


def marked_runtime(module: bytes) -> str | None:
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
