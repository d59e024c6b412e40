"""Code that reproduces a message: a cast command, a Python test, and a Solidity test.

The code contains fixed text and hex only, so untrusted text cannot enter it.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import checksummed
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.shapes import transaction_json

NAMES: Final = {"cast": "cast command", "python": "Python test", "solidity": "Solidity test"}
"""Formats offered for copying, with the label of each button."""


def formats(receipt: TransactionReceipt) -> dict[str, str]:
    """Return the available formats with their labels; Ethereum tools cannot send methods of native actors."""
    return NAMES if _is_ethereum(receipt) else {"python": NAMES["python"]}


def reproduction(receipt: TransactionReceipt, name: str, url: str) -> str | None:
    """Return the text to copy; None if the format `name` is not available."""
    if name not in formats(receipt):
        return None
    match name:
        case "cast":
            return _cast(receipt, url)
        case "python":
            return _python(receipt)
        case _:
            return _solidity(receipt, url)


def _is_ethereum(receipt: TransactionReceipt) -> bool:
    """Return True if Ethereum's tools can send the message: its sender has a delegated address."""
    return receipt.execution.message.message.from_.namespace() is not None


def _data(receipt: TransactionReceipt) -> bytes:
    return bytes.fromhex(transaction_json(receipt)["input"][2:])


def _cast(receipt: TransactionReceipt, url: str) -> str:
    execution, data = receipt.execution, _data(receipt)
    to = "--create" if execution.to is None else checksummed(execution.to)
    parts = [f"cast send --rpc-url {url} --from {checksummed(execution.sender)} --unlocked"]
    parts.append(f"--gas-limit {execution.message.message.gas_limit}")
    if execution.message.message.value:
        parts.append(f"--value {execution.message.message.value}")
    parts.append(f"{to} 0x{data.hex()}" if data else to)
    return " ".join(parts)


def _python(receipt: TransactionReceipt) -> str:
    execution, message = receipt.execution, receipt.execution.message.message
    ethereum = _is_ethereum(receipt)
    target = "None" if execution.to is None else f'"{checksummed(execution.to)}"'
    if ethereum:
        call = (
            f'network.send({target}, {message.value}, bytes.fromhex("{_data(receipt).hex()}"), '
            f'sender="{checksummed(execution.sender)}", gas_limit={message.gas_limit})'
        )
    else:
        call = (
            f'network.send_native("{message.to}", {message.method}, bytes.fromhex("{message.params.hex()}"), '
            f'value={message.value}, sender="{message.from_}", gas_limit={message.gas_limit})'
        )
    lines = ["from localnet import Network", ""]
    if not receipt.succeeded:
        lines = ["import pytest", "", "from localnet import Network, TransactionFailed", ""]
    lines += [
        "",
        "def test_the_message() -> None:",
        "    with Network() as network:  # or the chain's folder, or Network.fork(url)",
        *(["        with pytest.raises(TransactionFailed):"] if not receipt.succeeded else []),
        f"        {'' if receipt.succeeded else '    '}{call}",
        "",
    ]
    return "\n".join(lines)


def _solidity(receipt: TransactionReceipt, url: str) -> str:
    execution, data = receipt.execution, _data(receipt)
    value = execution.message.message.value
    if execution.to is None:
        act = (
            f'        bytes memory code = hex"{data.hex()}";\n'
            "        address created;\n"
            f"        assembly {{ created := create({value}, add(code, 32), mload(code)) }}\n"
            f"        assert{'True' if receipt.succeeded else 'False'}(created != address(0));"
        )
    else:
        options = f"{{value: {value}}}" if value else ""
        act = (
            f'        (bool ok,) = {checksummed(execution.to)}.call{options}(hex"{data.hex()}");\n'
            f"        assert{'True' if receipt.succeeded else 'False'}(ok);"
        )
    return f"""// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {{Test}} from "forge-std/Test.sol";

contract MessageTest is Test {{
    function setUp() public {{
        vm.createSelectFork("{url}", {max(0, receipt.block_number - 1)});
    }}

    function test_TheMessage() public {{
        vm.prank({checksummed(execution.sender)});
{act}
    }}
}}
"""
