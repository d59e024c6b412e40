"""Debug logs of native actors, written to Python's logger `hypervisor.actors` if `actor_debugging` is enabled.

A record names its actor: `f0105 tip_jar: a tip of 5`. While a tracer is attached, messages are sent to it as `DebugLog`
events instead. Estimates, which execute a message several times, do not log. Each record is charged for, so messages
use a different amount of gas with debugging enabled.
"""

from __future__ import annotations

import logging
from typing import Final

from hypervisor.bundles.manifest import Manifest
from hypervisor.types import ActorID
from store.blockstore import Store
from store.cid import Cid

LOGGER: Final = "hypervisor.actors"
MAX_CHARACTERS: Final = 4_096
"""Maximum length of a record; longer ones are truncated, since logging a mebibyte costs an actor little gas."""

NAME_PREFIX: Final = b"name/"
"""Prefix of metadata keys that map the CIDs of users' code to names."""

_LOG: Final = logging.getLogger(LOGGER)


def listen() -> None:
    """Enable INFO records unless the logger is configured already; by default, Python drops records below WARNING."""
    if _LOG.level == logging.NOTSET:
        _LOG.setLevel(logging.INFO)


def code_name(manifest: Manifest, store: Store, code: Cid) -> str:
    """Return the name of code: that of a built-in actor, the one it was installed under, or `actor`."""
    built_in = manifest.name_of(code)
    if built_in is not None:
        return built_in
    name = store.metadata(NAME_PREFIX + code)
    return "actor" if name is None else name.decode("utf-8", "replace")


def truncate(text: str) -> str:
    """Truncate a text that is longer than MAX_CHARACTERS."""
    if len(text) <= MAX_CHARACTERS:
        return text
    return f"{text[:MAX_CHARACTERS]}... ({len(text):,} characters)"


def write(actor: ActorID, name: str, text: str) -> None:
    """Log a message of an actor."""
    _LOG.info("f0%d %s: %s", actor, name, text)
