"""What traces withhold of cheatcodes, as forge's: keys, variables of the environment, the content of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_KEY: Final = "<pk>"
_OF_KEYS: Final = ("addr", "createWallet", "deriveKey", "rememberKey")
_BY_KEY: Final = ("broadcast", "startBroadcast", "getNonce")
_SIGNING: Final = ("sign", "signP256")
_ANSWERS: Final = {"createWallet": _KEY, "deriveKey": _KEY, "readFile": "<file>"}


def arguments_withheld(name: str, values: Sequence[Any]) -> tuple[str, int] | None:
    """What is shown of a cheatcode's arguments, and of how many of the first ones; None where all may be seen."""
    if name in _OF_KEYS:
        return _KEY, len(values)
    by_key = bool(values) and isinstance(values[0], int | tuple)  # a key, or a wallet
    if name in _BY_KEY and by_key:
        return _KEY, len(values)
    return (f'"{_KEY}"', 1) if name in _SIGNING and by_key else None


def answer_withheld(name: str) -> str | None:
    """What is shown of a cheatcode's answer; None where it may be seen."""
    if name.startswith("env") and name != "envExists":
        return "<env var value>"
    return _ANSWERS.get(name)
