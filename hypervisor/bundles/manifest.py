"""The manifest of built-in actors: actor names and the CIDs of their code.

A manifest always has the 16 official names in order, since type numbers are positions in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypervisor.errors import BundleError
from hypervisor.state.state_tree import StateTree
from hypervisor.text import cid_text, one_line
from hypervisor.types import SYSTEM_ACTOR
from store.blockstore import BlockNotFound, Blockstore, get_object
from store.cid import Cid, cid_of, show
from store.codec import CodecError, decode, encode, link, unlink

ACTOR_NAMES = (
    "system", "init", "cron", "account", "storagepower", "storageminer", "storagemarket", "paymentchannel",
    "multisig", "reward", "verifiedregistry", "datacap", "placeholder", "evm", "eam", "ethaccount",
)  # fmt: skip
ACCOUNT_TYPES = ("account", "placeholder", "ethaccount")
"""Actor types that can send messages, including placeholders, which become Ethereum accounts."""
_MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The code CIDs of the built-in actors by name; `data` is the CID of the list, referenced by the system actor."""

    data: Cid
    codes: tuple[Cid, ...]
    account_codes: frozenset[Cid] = field(init=False, repr=False, compare=False)
    """Code CIDs of actors that can send messages, including placeholders."""
    ethereum_codes: frozenset[Cid] = field(init=False, repr=False, compare=False)
    """Code CIDs of contracts and of `account_codes`; other actors are native."""
    _by_name: dict[str, Cid] = field(init=False, repr=False, compare=False)
    _by_code: dict[Cid, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the lookup tables."""
        by_name = dict(zip(ACTOR_NAMES, self.codes, strict=True))
        object.__setattr__(self, "_by_name", by_name)
        object.__setattr__(self, "_by_code", dict(reversed([*zip(self.codes, ACTOR_NAMES, strict=True)])))
        object.__setattr__(self, "account_codes", frozenset(by_name[name] for name in ACCOUNT_TYPES))
        object.__setattr__(self, "ethereum_codes", self.account_codes | {by_name["evm"]})

    def __repr__(self) -> str:
        return one_line("Manifest", f"{len(self.codes)} actors", cid_text(self.data))

    @classmethod
    def load(cls, store: Blockstore, data: Cid) -> Manifest:
        """Read the list of names and code CIDs. Raises BundleError unless it has the official 16 names in order."""
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
                f"bundle root {show(root)} has manifest version {version!r:.40}, expected {_MANIFEST_VERSION}"
            )
        return cls.load(store, cid)

    @classmethod
    def of_state(cls, store: Blockstore, tree: StateTree) -> Manifest:
        """Read the list that the system actor of a state names. Raises BundleError."""
        system = tree.get_actor(SYSTEM_ACTOR)
        if system is None:
            raise BundleError("the state tree has no system actor (f00)")
        try:
            (manifest,) = get_object(store, system.head)
            return cls.load(store, unlink(manifest))
        except (CodecError, BlockNotFound, BundleError, TypeError, ValueError) as error:
            raise BundleError(f"the system actor (f00) does not name a readable manifest: {error}") from error

    @property
    def root(self) -> Cid:
        """The root of a bundle with this list, which identifies a release."""
        return cid_of(encode([_MANIFEST_VERSION, link(self.data)]))

    def code(self, name: str) -> Cid:
        return self._by_name[name]

    def type_of(self, code: Cid) -> int:
        """Return the type number (position from 1) of a code CID; 0 if it is not a built-in actor."""
        return self.codes.index(code) + 1 if code in self.codes else 0

    def code_of_type(self, number: int) -> Cid | None:
        """Return the code CID of a type number (position from 1), or None."""
        return self.codes[number - 1] if 1 <= number <= len(self.codes) else None

    def name_of(self, code: Cid) -> str | None:
        """Return the name of the built-in actor with a code CID (the first if several share one), or None."""
        return self._by_code.get(code)
