"""The class of a CID that DAG-CBOR values may contain, encoded as a link.

A plain `Cid` is `bytes` and is encoded as a byte string, which does not keep the object that it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.cid import show

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
