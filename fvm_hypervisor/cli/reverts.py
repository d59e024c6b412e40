"""Decoding of reverts with custom errors, for nodes that do not know the contract's ABI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.reverts import exit_error, revert_reason
from localnet.fork.node_client import NodeError

if TYPE_CHECKING:
    from bridge.abi import ContractInterface
    from localnet.contracts.named_interface import NamedInterface


def explain_revert(error: NodeError, own: ContractInterface | None, folders: Sequence[Path] | None = None) -> NodeError:
    """Return the error of a reverted request, with the decoded custom error added.

    The contract's own interface is tried first, then those compiled below the folders, since a revert may come from a
    callee.
    """
    from localnet.contracts.artifacts import ArtifactFolders

    data = _revert_data(error.data)
    plain = revert_reason(data)
    text = None if own is None or not data else own.decode_revert(data)
    if data and text in (None, plain):
        others = (found.interface.decode_revert(data) for found in ArtifactFolders(folders).contracts())
        text = next((found for found in others if found != plain), exit_error(data))
    if text is None or text == plain or text in str(error):
        return error
    return NodeError(f"{error}: {text}", error.data, code=error.code, answered=error.answered)


def interfaces_with(own: NamedInterface | None, folders: Sequence[Path] | None = None) -> list[NamedInterface]:
    """Return the known interface, if any, and those compiled below the folders.

    A custom error may come from a callee.
    """
    from localnet.contracts.artifacts import ArtifactFolders
    from localnet.contracts.named_interface import NamedInterface

    compiled = [NamedInterface(found.name, found.interface) for found in ArtifactFolders(folders).contracts()]
    return compiled if own is None else [own, *compiled]


def _revert_data(data: Any) -> bytes:
    try:
        return bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
    except ValueError:
        return b""
