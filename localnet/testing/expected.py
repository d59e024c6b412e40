"""Failures that a test expects: reverts by their reason, other failures by their exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.abi.abi import ContractInterface
from bridge.ethereum.reverts import error_text, revert_reason
from hypervisor.exit_codes import ExitCode, exit_name
from localnet.errors import CallFailed, TransactionFailed

if TYPE_CHECKING:
    from localnet.contracts.contract import Contract
    from localnet.contracts.typed_contract import TypedContract


@contextmanager
def reverts(reason: str | None = None, contract: Contract | TypedContract | None = None) -> Iterator[None]:
    """Expect a revert inside the context; with `reason`, this reason.

    `reason` is the text of `require` or `revert`, or a custom error of `contract`: its name, optionally with arguments,
    as in `Unauthorized(0x...)`. Raises AssertionError if nothing fails, or for another reason.
    """
    try:
        yield
    except (CallFailed, TransactionFailed) as error:
        if error.exit_code != ExitCode.EVM_CONTRACT_REVERTED:
            raise AssertionError(f"expected a revert, but {error}") from error
        found = _reason(error.data, None if contract is None else contract.interface)
        if reason is not None and reason not in (found, found.partition("(")[0]):
            raise AssertionError(f"expected a revert with '{reason}', but the reason is '{found}'") from error
        return
    wanted = "a revert" if reason is None else f"a revert with '{reason}'"
    raise AssertionError(f"expected {wanted}, but nothing failed")


@contextmanager
def exits(code: int) -> Iterator[None]:
    """Expect this exit code inside the context. Raises AssertionError otherwise."""
    try:
        yield
    except (CallFailed, TransactionFailed) as error:
        if error.exit_code != code:
            raise AssertionError(f"expected {_exit_number(code)}, but {error}") from error
        return
    raise AssertionError(f"expected {_exit_number(code)}, but nothing failed")


def _reason(data: bytes, interface: ContractInterface | None) -> str:
    text = error_text(data)
    if text is not None:
        return text
    return revert_reason(data) if interface is None else interface.decode_revert(data)


def _exit_number(code: int) -> str:
    name = exit_name(code)
    return f"exit code {code}" if name == str(code) else f"exit code {code} ({name})"
