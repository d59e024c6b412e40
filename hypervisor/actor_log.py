"""What native actors log while a machine's `actor_debugging` is on: lines of Python's log `hypervisor.actors`.

A line names its actor: `f0105 tip_jar: a tip of 5`. Where a message is executed for a tracer, the lines are the
tracer's (`DebugLog`) and not logged again; estimates, which execute a message several times, log nothing. A charge is
paid for each line, so with debugging on messages cost other gas.
"""

from __future__ import annotations

import logging
from typing import Final

from hypervisor.manifest import Manifest
from hypervisor.types import ActorID
from store.blockstore import Store
from store.cid import Cid

LOGGER: Final = "hypervisor.actors"
MOST_CHARACTERS: Final = 4_096
"""Of a line; the rest is cut, since an actor may log a mebibyte for the price of a word."""

NAME_PREFIX: Final = b"name/"
"""The metadata beside a chain that hold the names of users' code, by its CID."""

_LOG: Final = logging.getLogger(LOGGER)


def listen() -> None:
    """Let the log take lines, unless it was set up otherwise: of itself Python's drops what is no warning."""
    if _LOG.level == logging.NOTSET:
        _LOG.setLevel(logging.INFO)


def code_name(manifest: Manifest, store: Store, code: Cid) -> str:
    """The name of code: a built-in actor's, the one that it was installed under, or `actor`."""
    built_in = manifest.name_of(code)
    if built_in is not None:
        return built_in
    given = store.metadata(NAME_PREFIX + code)
    return "actor" if given is None else given.decode("utf-8", "replace")


def shortened(text: str) -> str:
    """A line, cut where it is longer than a line may be."""
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}... ({len(text):,} characters)"


def write(actor: ActorID, name: str, text: str) -> None:
    """Log an actor's line."""
    _LOG.info("f0%d %s: %s", actor, name, text)
