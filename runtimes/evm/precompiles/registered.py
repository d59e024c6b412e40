"""Users' precompiles: which a machine may have, and how one runs. What one is: `hypervisor.precompiles`.

Nothing that a user's function does ends the machine: what raises, or answers no bytes, fails the call as a precompile
fails. Its address must be free under every set of rules and in every network version: it means the same under all.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bridge.addresses import EthAddress, unmask_id
from hypervisor.errors import InvalidInput
from hypervisor.precompiles import LONGEST_OUTPUT, Precompile, PrecompileTable
from runtimes.evm.precompiles.ethereum import ETHEREUM
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.precompiles.wasm_function import wasm_function
from runtimes.evm.rules import FILECOIN_PREFIX, P256_ADDRESS

_OWN_NAMES: Final = frozenset({*ETHEREUM, *FILECOIN, "point_evaluation"})
_SHOWN: Final = 500
"""Characters of what a user's function says of its failure."""


def accepted(rows: Sequence[Precompile]) -> PrecompileTable:
    """The table of users' precompiles, modules compiled. Raises InvalidInput, and InvalidModule."""
    found: dict[bytes, Precompile] = {}
    names: set[str] = set()
    for row in rows:
        _check_address(row)
        if row.name in _OWN_NAMES:
            raise InvalidInput(f"precompile '{row.name}' has the name of one of the network's: choose another name")
        if row.name in names:
            raise InvalidInput(f"precompile '{row.name}' is registered twice: give each a name of its own")
        if row.at in found:
            raise InvalidInput(
                f"precompiles '{found[row.at].name}' and '{row.name}' are both at {row.address}: "
                "give each an address of its own"
            )
        names.add(row.name)
        found[row.at] = replace(row, function=wasm_function(row), module=b"") if row.module else row
    return PrecompileTable(found)


def run_registered(row: Precompile, data: bytes) -> bytes:
    """What a user's precompile answers. Raises PrecompileFailure with the reason; its price is paid."""
    function = row.function
    assert function is not None, "a table has functions"
    try:
        output = function(data)
    except PrecompileFailure:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's function may raise anything: its call fails
        raise PrecompileFailure(f"it raised {type(error).__name__}{_words(error)}") from None
    if type(output) is not bytes:
        raise PrecompileFailure(f"it returned a value of the type {type(output).__name__}, expected bytes")
    if len(output) > LONGEST_OUTPUT:
        raise PrecompileFailure(f"it returned {len(output):,} bytes, at most {LONGEST_OUTPUT:,} are taken")
    return output


def _words(error: BaseException) -> str:
    """What it says, where it can say it: its class is a user's, too."""
    try:
        return f": {error!s:.{_SHOWN}}"
    except Exception:  # noqa: BLE001
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
            f"precompile '{row.name}' cannot be at {row.address}, which is the network's own or reserved: "
            "choose an address above 0x100, as 0x0000000000000000000000000000000000000a11"
        )
