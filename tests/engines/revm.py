"""pyrevm (revm 8 of 2024) as a comparison: Cancun, one call of a contract on fresh state.

It charges no fees and leaves the sender's nonce unchanged, so these are not compared. Creations by transaction are
omitted.
"""

import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from runtimes.evm.ethereum.alloc import AllocAccount
from tests.differential.generator import SENDER
from tests.engines.scenes import COINBASE, Call
from tests.engines.worlds import BLOCK_GAS, EPOCH, RANDOM, TIMESTAMP, Outcome, output_of

RULES: Final = "Cancun"
_SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "revm"


@cache
def pyrevm() -> ModuleType | None:
    """Return the module, installed if necessary, or None if it does not support this Python version."""
    done = subprocess.run([_SCRIPT, sys.executable], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return None
    sys.path.append(done.stdout.strip())
    return import_module("pyrevm")


class Revm:
    """A batch's accounts, restored for every call."""

    def __init__(self, module: Any, accounts: Mapping[EthAddress, AllocAccount]) -> None:
        self._module = module
        self._accounts = [
            (_hex(address), module.AccountInfo(account.balance, account.nonce, None, account.code), account.storage)
            for address, account in accounts.items()
        ]

    def differences(self, call: Call, gas_limit: int, ours: Outcome) -> list[str]:
        """Return the differences from the result here."""
        _, success, output, gas_used, logs = self._call(call, gas_limit)
        mine = (ours.exit_code == 0, output_of(ours), ours.gas_used, [_log(*log) for log in ours.logs])
        theirs = (success, output, gas_used, logs)
        names = ("success", "output", "gas used", "logs")
        return [
            f"{name} {one!s:.80} and, of revm, {other!s:.80}"
            for name, one, other in zip(names, mine, theirs, strict=True)
            if one != other
        ]

    def other_accounts(self, call: Call, gas_limit: int, ours: Mapping[EthAddress, AllocAccount]) -> list[str]:
        """Return the accounts that differ from this project's after a call: balance, nonce, slots."""
        evm = self._call(call, gas_limit)[0]
        found = []
        for address, account in ours.items():
            if address in (SENDER, COINBASE):
                continue
            place = _hex(address)
            info = evm.basic(place)
            slots = {slot: evm.storage(place, slot) for slot in account.storage}
            if (account.balance, account.nonce, dict(account.storage)) != (info.balance, info.nonce, slots):
                found.append(f"{place}: {account!s:.300} and, of revm, {info.balance} {info.nonce} {slots}")
        return found

    def _call(self, call: Call, gas_limit: int) -> tuple[Any, bool, bytes, int, list[Any]]:
        evm = self.fresh(call)
        try:
            output = self.run(evm, call, gas_limit)
        except RuntimeError as error:
            output = _reverted(str(error))
        result = evm.result
        logs = [
            (log.address.lower(), [topic.lower() for topic in log.topics], bytes(log.data[1])) for log in result.logs
        ]
        return evm, result.is_success, bytes(output), result.gas_used, logs

    @staticmethod
    def run(evm: Any, call: Call, gas_limit: int) -> bytes:
        """Run a call, or a creation if `to` is None. Raises RuntimeError if it fails."""
        sender = _hex(SENDER)
        if call.to is None:
            evm.deploy(sender, call.data, gas=gas_limit)
            return b""
        output: bytes = evm.message_call(sender, _hex(call.to), calldata=call.data, value=call.value, gas=gas_limit)
        return output

    def fresh(self, call: Call) -> Any:
        """Return an EVM with the accounts, for one call."""
        module = self._module
        block = module.BlockEnv(EPOCH, _hex(COINBASE), TIMESTAMP, 0, RANDOM, 0, BLOCK_GAS, 0)
        listed = [(_hex(address), list(slots)) for address, slots in call.listed]
        environment = module.Env(module.CfgEnv(chain_id=1), block, module.TxEnv(access_list=listed))
        evm = module.EVM(env=environment, gas_limit=BLOCK_GAS, spec_id="CANCUN")
        for place, info, slots in self._accounts:
            evm.insert_account_info(place, info)
            for slot, word in slots.items():
                evm.insert_account_storage(place, slot, word)
        return evm


def _hex(address: EthAddress) -> str:
    return f"0x{address.hex()}"


def _log(address: EthAddress, log: Any) -> tuple[str, list[str], bytes]:
    return _hex(address), [f"0x{topic.hex()}" for topic in log.topics], log.data


def _reverted(words: str) -> bytes:
    """Return the output in pyrevm's error text `Revert { gas_used: 1, output: 0x... }`; None for a halt."""
    _, found, output = words.partition("output: 0x")
    return bytes.fromhex(output.split(" ")[0].rstrip("})")) if found else b""
