"""What traces withhold of cheatcodes, as forge's: keys, variables of the environment, the content of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_KEY: Final = "<pk>"
_NONCE: Final = "<nonce>"
"""That of a signature: with the digest and the signature it gives the key away."""
_MNEMONIC: Final = "<mnemonic>"
_URL: Final = "<rpc url>"
_OF_NODES: Final = ("createFork", "createSelectFork", "rpc")
_OF_KEYS: Final = frozenset({
    "addr", "createEd25519Key", "createWallet", "deriveKey", "publicKeyEd25519", "publicKeyP256", "rememberKey"
})  # fmt: skip
"""Cheatcodes of which nothing else is shown."""
_BY_KEY: Final = ("broadcast", "startBroadcast", "getNonce")
"""The same where they are given a key, or a wallet."""
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
"""Arguments by their places. Digests and addresses of signers at a key's place may be seen."""
UNNAMED: Final = ("signDelegation", "signAndAttachDelegation")
"""Those whose addresses forge shows without labels."""
_ANSWERS: Final = {"createEd25519Key": _KEY, "createWallet": _KEY, "deriveKey": _KEY, "readFile": "<file>"}


def all_withheld(name: str, inputs: Sequence[Mapping[str, Any]]) -> str | None:
    """What stands for all arguments of a cheatcode with these inputs; None where each is shown or withheld alone."""
    by_key = bool(inputs) and inputs[0]["type"] in ("uint256", "tuple")
    return _KEY if name in _OF_KEYS or (name in _BY_KEY and by_key) else None


def withheld(name: str, inputs: Sequence[Mapping[str, Any]]) -> Mapping[int, str]:
    """What is shown in the place of single arguments, by their numbers."""
    found = _SECRETS.get(name, {})
    is_other = found.get(0) == _KEY and inputs[0]["type"] not in ("uint256", "tuple")
    return {} if is_other else found


def withheld_urls(name: str, values: Sequence[Any]) -> Mapping[int, str]:
    """The same of nodes' URLs, which may have a token; names of `rpc_endpoints` may be seen."""
    first = values[0] if values else None
    named = name in _OF_NODES and isinstance(first, str)
    return {0: _URL} if named and str(first).startswith(("http", "ws")) else {}


def answer_withheld(name: str) -> str | None:
    """What is shown of a cheatcode's answer; None where it may be seen."""
    if name.startswith("env") and name != "envExists":
        return "<env var value>"
    return _URL if name.startswith("rpcUrl") else _ANSWERS.get(name)
