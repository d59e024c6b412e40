"""Script cheatcodes in tests: deployments of the project's scripts, and cheatcodes without effect.

Deployments are read from forge's files: `broadcast/<script>/<chain>/run-<time>.json`. Prompts fail with forge's error,
since there is no terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.files import MAX_FILE_BYTES
from fvm_hypervisor.soltest.cheatcodes.pranks import NOT_SENT, attach
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode

_SUMMARY: Final = "(bytes32,uint8,address,uint64,bool)"
_TYPES: Final = ("CALL", "CREATE", "CREATE2")
_CREATIONS: Final = ("CREATE", "CREATE2")

Summary = tuple[bytes, int, EthAddress, int, bool]
"""A sent transaction: hash, index in `_TYPES`, contract, block number, and True if it succeeded."""


def _broadcasts(context: Context, name: str, chain: int, types: Sequence[str]) -> list[Summary]:
    """Return the transactions that scripts sent to a contract or created it with, latest first."""
    found: list[Summary] = []
    for run in _runs(context, chain):
        try:
            receipts = {receipt["transactionHash"]: receipt for receipt in run["receipts"]}
            found += [
                _summary(sent, receipts[sent["hash"]])
                for sent in run["transactions"]
                if sent["contractName"] == name and sent["transactionType"] in types and sent["hash"] in receipts
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise CheatcodeFailure(f"a broadcast of chain {chain} cannot be read: {error!r}") from None
    return sorted(found, key=lambda summary: -summary[3])


def _runs(context: Context, chain: int) -> Iterator[Any]:
    """Yield the parsed broadcast files of one chain, except `run-latest.json`, which is a copy."""
    context.note_input("files")
    for file in sorted((context.settings.root / "broadcast").glob(f"**/{chain}/*.json")):
        if file.name.endswith("-latest.json"):
            continue
        try:
            if file.is_file() and file.stat().st_size <= MAX_FILE_BYTES:
                yield orjson.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise CheatcodeFailure(f'failed to read "{file}": {error}') from None


def _summary(sent: dict[str, Any], receipt: dict[str, Any]) -> Summary:
    return (
        bytes.fromhex(sent["hash"][2:]),
        _TYPES.index(sent["transactionType"]),
        EthAddress(bytes.fromhex(sent["contractAddress"][2:])),
        int(receipt["blockNumber"], 16),
        receipt["status"] == "0x1",
    )


def _latest(found: list[Summary]) -> Summary:
    if not found:
        raise CheatcodeFailure("No broadcasts found")
    return found[0]


@cheatcode("getBroadcast(string,uint64,uint8)", returns=_SUMMARY)
def _broadcast(context: Context, name: str, chain: int, type_: int) -> Summary:
    return _latest(_broadcasts(context, name, chain, _TYPES[type_ : type_ + 1]))


@cheatcode("getBroadcasts(string,uint64,uint8)", returns=f"{_SUMMARY}[]")
def _all_of_type(context: Context, name: str, chain: int, type_: int) -> list[Summary]:
    return _broadcasts(context, name, chain, _TYPES[type_ : type_ + 1])


@cheatcode("getBroadcasts(string,uint64)", returns=f"{_SUMMARY}[]")
def _all(context: Context, name: str, chain: int) -> list[Summary]:
    return _broadcasts(context, name, chain, _TYPES)


@cheatcode("getDeployment(string)", returns="address")
def _deployment_here(context: Context, name: str) -> EthAddress:
    return _deployment(context, name, context.machine.context.chain_id)


@cheatcode("getDeployment(string,uint64)", returns="address")
def _deployment(context: Context, name: str, chain: int) -> EthAddress:
    return _latest(_broadcasts(context, name, chain, _CREATIONS))[2]


@cheatcode("getDeployments(string,uint64)", returns="address[]")
def _deployments(context: Context, name: str, chain: int) -> list[EthAddress]:
    return [summary[2] for summary in _broadcasts(context, name, chain, _CREATIONS)]


_NO_TERMINAL = "fails, as in forge without a terminal"


@cheatcode("prompt(string)", "promptSecret(string)", returns="string", partial=_NO_TERMINAL)
@cheatcode("promptUint(string)", "promptSecretUint(string)", returns="uint256", partial=_NO_TERMINAL)
@cheatcode("promptAddress(string)", returns="address", partial=_NO_TERMINAL)
def _prompt(_context: Context, _text: str) -> str:
    raise CheatcodeFailure("IO error: not a terminal")


@cheatcode("accessList((address,bytes32[])[])")
def _access_list(context: Context, entries: Sequence[tuple[EthAddress, Sequence[bytes]]]) -> None:
    """Set the access list of calls that are transactions (`isolate`); as in forge, other calls ignore it."""
    context.state.access_list = tuple(
        (EthAddress(address), tuple(int.from_bytes(key, "big") for key in keys)) for address, keys in entries
    )


@cheatcode("noAccessList()")
def _no_access_list(context: Context) -> None:
    context.state.access_list = ()


@cheatcode("attachBlob(bytes)", partial=NOT_SENT)
def _attach_blob(context: Context, _blob: bytes) -> None:
    context.state.blob = True
    attach(context, "attachBlob")


@cheatcode("currentFilePath()", returns="string")
def _current_file(context: Context) -> str:
    return context.settings.file


@cheatcode("getArtifactPathByCode(bytes)", returns="string")
def _artifact_by_code(context: Context, code: bytes) -> str:
    return _artifact(context, code, True)


@cheatcode("getArtifactPathByDeployedCode(bytes)", returns="string")
def _artifact_by_deployed_code(context: Context, code: bytes) -> str:
    return _artifact(context, code, False)


def _artifact(context: Context, code: bytes, creates: bool) -> str:
    context.note_input("files")
    found = context.settings.contracts(code, creates)
    if found is None:
        raise CheatcodeFailure("no matching artifact found")
    out = context.settings.root / context.settings.out
    path = found.path if found.path.is_relative_to(out) else out / Path(found.file).name / f"{found.name}.json"
    return str(path)  # forge's, which need not exist
