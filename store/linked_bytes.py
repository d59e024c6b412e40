"""Byte strings with links: a CID as a value of DAG-CBOR, and a block rewritten from another one.

A plain `Cid` is `bytes` and is encoded as a byte string, which does not keep the object that it names. When a tree is
committed repeatedly, only the new links need to be scanned (`store.blocks.buffered`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.cid import Cid, show

if TYPE_CHECKING:
    from store.cid import Cid as _Cid
else:
    _Cid = bytes  # a class cannot inherit from a NewType at run time


class LinkedCid(_Cid):  # type: ignore[misc]  # the base is a NewType for the type checker
    r"""A CID that `store.codec.encode` writes as a link, and that prints as text. Equal to its bytes.

    >>> from store.cid import cid_of
    >>> LinkedCid(cid_of(b"\x80"))
    bafy2bzacebc3bt6cedhoyw34drrmjvazhu4oj25er2ebk4u445pzycvq4ta4a
    """

    __slots__ = ()

    def __str__(self) -> str:
        return show(self)

    __repr__ = __str__


class RewrittenBlock(bytes):
    """A block that records which links are not in the block it was rewritten from. Behaves as its bytes."""

    before: Cid | None
    """CID of the original block; None if there is none."""
    links: list[Cid]
    """Links that the original block does not have, and possibly others of the block."""
