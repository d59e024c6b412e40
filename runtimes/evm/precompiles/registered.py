"""Users' precompiles: validation and execution. `hypervisor.precompiles` defines them.

A user's function cannot end the machine: if it raises or does not return bytes, the call fails like any precompile. Its
address must be free under every set of rules and in every network version, so that it always means the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bridge.ethereum.addresses import EthAddress, unmask_id
from hypervisor.errors import InvalidInput
from hypervisor.precompiles import MAX_OUTPUT_BYTES, Precompile, PrecompileTable
from runtimes.evm.precompiles.ethereum import ETHEREUM
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.precompiles.wasm_function import wasm_function
from runtimes.evm.rules import FILECOIN_PREFIX, P256_ADDRESS

_OWN_NAMES: Final = frozenset({*ETHEREUM, *FILECOIN, "point_evaluation"})
_SHOWN: Final = 500
"""Maximum number of characters shown of a user function's error."""


def build_table(rows: Sequence[Precompile]) -> PrecompileTable:
    """Return the table of users' precompiles, with modules compiled. Raises InvalidInput and InvalidModule."""
    found: dict[bytes, Precompile] = {}
    names: set[str] = set()
    for row in rows:
        _check_address(row)
        if row.name in _OWN_NAMES:
            raise InvalidInput(f"precompile '{row.name}' has the name of a built-in precompile: choose another name")
        if row.name in names:
            raise InvalidInput(f"precompile '{row.name}' is registered twice: use different names")
        if row.at in found:
            raise InvalidInput(
                f"precompiles '{found[row.at].name}' and '{row.name}' are both at {row.address}: "
                "use different addresses"
            )
        names.add(row.name)
        found[row.at] = replace(row, function=wasm_function(row), module=b"") if row.module else row
    return PrecompileTable(found)


def run_registered(row: Precompile, data: bytes) -> bytes:
    """Return the output of a user's precompile. Raises PrecompileFailure with the reason; its price is charged."""
    function = row.function
    assert function is not None, "every precompile of a table must have a function"
    try:
        output = function(data)
    except PrecompileFailure:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's function may raise anything: its call fails
        raise PrecompileFailure(f"it raised {type(error).__name__}{_error_text(error)}") from None
    if type(output) is not bytes:
        raise PrecompileFailure(f"it returned a value of type {type(output).__name__}, expected bytes")
    if len(output) > MAX_OUTPUT_BYTES:
        raise PrecompileFailure(f"it returned {len(output):,} bytes, the limit is {MAX_OUTPUT_BYTES:,}")
    return output


def _error_text(error: BaseException) -> str:
    """Return the text of an error, if its class, which may be a user's, can be formatted."""
    try:
        return f": {error!s:.{_SHOWN}}"
    except Exception:  # noqa: BLE001  # a user's `__str__` may raise anything
        return ""


def _check_address(row: Precompile) -> None:
    address = EthAddress(row.at)
    if not any(address):
        raise InvalidInput(f"precompile '{row.name}' cannot be at the zero address: choose another address")
    if unmask_id(address) is not None:
        raise InvalidInput(
            f"precompile '{row.name}' cannot be at {row.address}, the masked ID of an actor: choose another address"
        )
    if address == P256_ADDRESS or (address[0] in (0, FILECOIN_PREFIX) and not any(address[1:19])):
        raise InvalidInput(
            f"precompile '{row.name}' cannot be at {row.address}, which is built in or reserved: "
            "choose an address above 0x100, for example 0x0000000000000000000000000000000000000a11"
        )
