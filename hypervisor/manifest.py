"""The manifest of built-in actors: the names of the network's actors, each with the CID of its code.

A manifest of this machine always has the 16 official names in their order, since type numbers are places in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypervisor.errors import BundleError
from hypervisor.printed import cid_text, one_line
from store.blockstore import Blockstore
from store.cid import Cid, cid_of, show
from store.codec import CodecError, decode, encode, link, unlink

ACTOR_NAMES = (
    "system", "init", "cron", "account", "storagepower", "storageminer", "storagemarket", "paymentchannel",
    "multisig", "reward", "verifiedregistry", "datacap", "placeholder", "evm", "eam", "ethaccount",
)  # fmt: skip
ACCOUNT_TYPES = ("account", "placeholder", "ethaccount")
"""The actors that send messages, and the one that becomes such."""
_MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The built-in actors' code CIDs by name; `data` is the CID of the list itself, which the system actor holds."""

    data: Cid
    codes: tuple[Cid, ...]
    account_codes: frozenset[Cid] = field(init=False, repr=False, compare=False)
    """The code CIDs of those that send messages, and of placeholders, which become such."""
    _by_name: dict[str, Cid] = field(init=False, repr=False, compare=False)
    _by_code: dict[Cid, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make what is looked up again and again."""
        by_name = dict(zip(ACTOR_NAMES, self.codes, strict=True))
        object.__setattr__(self, "_by_name", by_name)
        object.__setattr__(self, "_by_code", dict(reversed([*zip(self.codes, ACTOR_NAMES, strict=True)])))
        object.__setattr__(self, "account_codes", frozenset(by_name[name] for name in ACCOUNT_TYPES))

    def __repr__(self) -> str:
        return one_line("Manifest", f"{len(self.codes)} actors", cid_text(self.data))

    @classmethod
    def load(cls, store: Blockstore, data: Cid) -> Manifest:
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
    def load_root(cls, store: Blockstore, root: Cid) -> Manifest:
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

    def type_of(self, code: Cid) -> int:
        """The type number (place from 1) of a code CID; 0 if it is no built-in actor's."""
        return self.codes.index(code) + 1 if code in self.codes else 0

    def code_of_type(self, number: int) -> Cid | None:
        """The code CID at a place counted from 1."""
        return self.codes[number - 1] if 1 <= number <= len(self.codes) else None

    def name_of(self, code: Cid) -> str | None:
        """The built-in actor's name behind a code CID (the first of them where several share one)."""
        return self._by_code.get(code)
