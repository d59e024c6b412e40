"""Redaction of secrets in traces, as in forge: keys, environment variables, file contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_KEY: Final = "<pk>"
_NONCE: Final = "<nonce>"
"""A signature's nonce, which reveals the key together with the digest and the signature."""
_MNEMONIC: Final = "<mnemonic>"
_URL: Final = "<rpc url>"
_OF_NODES: Final = ("createFork", "createSelectFork", "rpc")
_OF_KEYS: Final = frozenset({
    "addr", "createEd25519Key", "createWallet", "deriveKey", "publicKeyEd25519", "publicKeyP256", "rememberKey"
})  # fmt: skip
"""Cheatcodes whose arguments are redacted entirely."""
_BY_KEY: Final = ("broadcast", "startBroadcast", "getNonce")
"""Cheatcodes whose arguments are redacted if the first one is a key or a wallet."""
_SECRETS: Final[Mapping[str, Mapping[int, str]]] = {
    "sign": {0: _KEY},
    "signCompact": {0: _KEY},
    "signP256": {0: _KEY},
    "signWithNonceUnsafe": {0: _KEY, 2: _NONCE},
    "signDelegation": {1: _KEY},
    "signAndAttachDelegation": {1: _KEY},
    "signEd25519": {2: _KEY},
    "rememberKeys": {0: _MNEMONIC},
}
"""Redacted arguments by position. Digests and addresses of signers at a key's position are shown."""
UNNAMED: Final = ("signDelegation", "signAndAttachDelegation")
"""Cheatcodes whose addresses forge shows without labels."""
_ANSWERS: Final = {"createEd25519Key": _KEY, "createWallet": _KEY, "deriveKey": _KEY, "readFile": "<file>"}


def redacted_arguments(name: str, inputs: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the replacement of all arguments of a cheatcode; None if they are handled one by one."""
    by_key = bool(inputs) and inputs[0]["type"] in ("uint256", "tuple")
    return _KEY if name in _OF_KEYS or (name in _BY_KEY and by_key) else None


def redactions(name: str, inputs: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
    """Return the replacements of single arguments, by position."""
    found = _SECRETS.get(name, {})
    is_other = found.get(0) == _KEY and inputs[0]["type"] not in ("uint256", "tuple")
    return {} if is_other else found


def url_redactions(name: str, values: Sequence[Any]) -> Mapping[int, str]:
    """Return the replacements of URLs, which may contain a token; aliases of `rpc_endpoints` are shown."""
    first = values[0] if values else None
    named = name in _OF_NODES and isinstance(first, str)
    return {0: _URL} if named and str(first).startswith(("http", "ws")) else {}


def redacted_result(name: str) -> str | None:
    """Return the replacement of a cheatcode's return value; None if it may be shown."""
    if name.startswith("env") and name != "envExists":
        return "<env var value>"
    return _URL if name.startswith("rpcUrl") else _ANSWERS.get(name)
