"""Runs Ethereum blockchain tests on the machine.

A file maps test names to tests. A test has the accounts of its genesis block (`pre`), blocks as RLP, and the expected
state after them. A block without `blockHeader` is invalid: it must be rejected with one of the exceptions that
`expectException` names, and the chain must not change. Format: the documentation of ethereum/tests, "Blockchain Tests",
and of the execution specifications' tests, `blockchain_tests`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from bridge.ethereum.block import AccountAccess, BlockAccessList
from hypervisor.errors import HypervisorError
from hypervisor.installation import OWN_EVM
from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import StepRecorder
from hypervisor_tools.laboratory.vectors.ethereum_json import (
    BadFixture,
    read_accounts,
    read_address,
    read_bytes,
    read_field,
    read_json,
    read_list,
    read_number,
    read_object,
    within,
)
from hypervisor_tools.laboratory.vectors.statetest import EXCESS_BITS, SECONDS, base_machine, matches, write_steps
from runtimes.evm.blocks.alloc import AllocAccount, StateRoots, install_alloc, read_alloc, state_root
from runtimes.evm.blocks.chain_import import ChainImport, schedule_of
from runtimes.evm.blocks.headers import Header, parse_block
from runtimes.evm.forks import ALIASES, InvalidBlock

FORMAT: Final = "blockchain_test"
_MAX_SHOWN: Final = 4
"""Maximum number of accounts whose differences are shown."""


def run_file(
    path: Path, fork: str | None = None, evm: str = OWN_EVM, trace: TextIO | None = None
) -> list[dict[str, Any]]:
    """Run a file's tests of one fork or transition (None: all), and return their records. Used in worker processes.

    Writes EIP-3155 lines to `trace`.
    """
    try:
        tests = read_object(read_json(path.read_bytes(), path.name), path.name)
    except (OSError, BadFixture) as error:
        return [_record(path, path.stem, "", str(error))]
    records = []
    for name, test in tests.items():
        network = str(test.get("network", "")) if isinstance(test, Mapping) else ""
        if fork is not None and ALIASES.get(network, network) != ALIASES.get(fork, fork):
            continue
        started = time.perf_counter()
        try:
            difference = run_test(test, evm, trace)
        except HypervisorError as error:
            difference = str(error)
        records.append({**_record(path, name, network, difference), SECONDS: time.perf_counter() - started})
    return records


def run_test(test: Any, evm: str = OWN_EVM, trace: TextIO | None = None) -> str:
    """Run one test. Return the first difference from the expected outcome, or an empty string if the test passed."""
    _check_format(test)
    config = read_object(test.get("config") or {}, "config")
    schedule = schedule_of(str(read_field(test, "network")))
    chain_id = read_number(config.get("chainid", 1), "chainid")
    genesis = _genesis(test)
    machine, roots = base_machine(evm).fork(), StateRoots()
    install_alloc(machine, read_accounts(read_field(test, "pre"), "pre"))
    root = roots.root(machine)
    if root != genesis.state_root:
        return f"genesis: state root 0x{root.hex()}, expected 0x{genesis.state_root.hex()}"
    chain = ChainImport(machine, genesis, schedule, chain_id, roots)
    for index, block in enumerate(read_list(read_field(test, "blocks"), "blocks")):
        recorder = machine.tracer = None if trace is None else StepRecorder()
        with within(f"blocks, item {index}"):
            error = _run_block(chain, read_object(block, "block"))
        if recorder is not None and trace is not None:
            write_steps(trace, recorder)
        if error:
            return error
    return "; ".join(_differences(chain, test, machine))


def _run_block(chain: ChainImport, block: Mapping[str, Any]) -> str:
    """Import a block. Return the difference from the expected outcome, or an empty string."""
    expected = _expected_exception(block)
    raw = read_bytes(read_field(block, "rlp"), "rlp")
    try:
        imported = chain.import_block(raw, _published_access_list(block))
    except InvalidBlock as error:
        number = _number_of(block, raw)
        if expected is None:
            return f"block {number}: {error.name}: {error}"
        if not matches(error.names, expected):
            return f"block {number}: {error.name}: {error}; expected {expected}"
        return ""
    if expected is not None:
        return f"block {imported.header.number} is valid, expected {expected or 'an invalid block'}"
    expected_hash = read_bytes(read_field(read_field(block, "blockHeader"), "hash"), "hash", 32)
    if imported.hash != expected_hash:
        return f"block {imported.header.number}: hash 0x{imported.hash.hex()}, expected 0x{expected_hash.hex()}"
    return ""


def _published_access_list(block: Mapping[str, Any]) -> BlockAccessList | None:
    """Return the access list in the fixture of a block, or None. An invalid block has it in its decoded form."""
    decoded = block.get("rlp_decoded")
    given = block.get("blockAccessList", decoded.get("blockAccessList") if isinstance(decoded, Mapping) else None)
    return None if given is None else read_block_access_list(given)


def _expected_exception(block: Mapping[str, Any]) -> str | None:
    """Return the names of the accepted exceptions: None for a valid block, empty if any exception is accepted."""
    named = [str(value) for key, value in block.items() if key.startswith("expectException")]
    if "blockHeader" in block and not named:
        return None
    return "|".join(named)


def _number_of(block: Mapping[str, Any], raw: bytes) -> str:
    try:
        return str(parse_block(raw).header.number)
    except InvalidBlock:
        return str(block.get("blocknumber", "?"))


def _differences(chain: ChainImport, test: Any, machine: Hypervisor) -> Iterator[str]:
    last = read_bytes(read_field(test, "lastblockhash"), "lastblockhash", 32)
    if chain.head.hash != last:
        number = chain.head.header.number
        yield f"last block {number} with hash 0x{chain.head.hash.hex()}, expected 0x{last.hex()}"
    chain.reset_to_head()
    hashed = test.get("postStateHash")
    if hashed is not None:
        root = read_bytes(hashed, "postStateHash", 32)
        if chain.head.header.state_root != root:
            yield f"state root 0x{chain.head.header.state_root.hex()}, expected 0x{root.hex()}"
    if test.get("postState") is None:
        if hashed is None:
            raise BadFixture("one of the fields 'postState' and 'postStateHash' is needed")
        return
    expected = read_accounts(test["postState"], "postState")
    if state_root(expected) == chain.head.header.state_root:
        return
    found = dict(read_alloc(machine))
    wrong = [address for address in sorted({*expected, *found}) if expected.get(address) != found.get(address)]
    for address in wrong[:_MAX_SHOWN]:
        yield f"account 0x{address.hex()}: {_format(found.get(address))}, expected {_format(expected.get(address))}"


def _format(account: AllocAccount | None) -> str:
    if account is None:
        return "null"
    fields = {"balance": hex(account.balance), "nonce": hex(account.nonce), "code": "0x" + account.code.hex()}
    return json.dumps({**fields, "storage": {hex(slot): hex(word) for slot, word in account.storage.items()}})


def _check_format(test: Any) -> None:
    info = read_object(test, "test").get("_info") or {}
    found = str(info.get("fixture-format") or info.get("fixture_format") or FORMAT)
    if "blocks" not in test and "post" in test:
        raise BadFixture("the test has 'post' and no blocks: run state tests with `hypervisor statetest`")
    if found != FORMAT:
        raise BadFixture(f"format '{found}' is not supported: expected {FORMAT}")
    if "blocks" not in test:
        raise BadFixture(f"the field 'blocks' is missing: expected a test in the format {FORMAT}")


def _genesis(test: Any) -> Header:
    fields = read_object(read_field(test, "genesisBlockHeader"), "genesisBlockHeader")
    if test.get("genesisRLP"):
        header = parse_block(read_bytes(test["genesisRLP"], "genesisRLP")).header
    else:
        header = _header(fields)
    if (header.excess_blob_gas or 0) >> EXCESS_BITS:
        raise BadFixture(f"'excessBlobGas' is {header.excess_blob_gas}, which does not fit in {EXCESS_BITS} bits")
    expected = fields.get("hash")
    if expected is not None and read_bytes(expected, "hash", 32) != header.hash():
        raise BadFixture(f"'genesisBlockHeader' has the hash {expected}, expected 0x{header.hash().hex()}")
    return header


_HEADER: Final = {
    "parentHash": "parent_hash", "uncleHash": "ommers_hash", "coinbase": "coinbase", "stateRoot": "state_root",
    "transactionsTrie": "transactions_root", "receiptTrie": "receipts_root", "bloom": "bloom",
    "extraData": "extra_data", "mixHash": "mix_hash", "nonce": "nonce", "withdrawalsRoot": "withdrawals_root",
    "parentBeaconBlockRoot": "beacon_root", "requestsHash": "requests_hash",
    "blockAccessListHash": "access_list_hash",
}  # fmt: skip
_HEADER_NUMBERS: Final = {
    "difficulty": "difficulty", "number": "number", "gasLimit": "gas_limit", "gasUsed": "gas_used",
    "timestamp": "timestamp", "baseFeePerGas": "base_fee", "blobGasUsed": "blob_gas_used",
    "excessBlobGas": "excess_blob_gas", "slotNumber": "slot_number",
}  # fmt: skip


def _header(fields: Mapping[str, Any]) -> Header:
    values: dict[str, Any] = {ours: read_bytes(fields[name], name) for name, ours in _HEADER.items() if name in fields}
    values |= {ours: read_number(fields[name], name) for name, ours in _HEADER_NUMBERS.items() if name in fields}
    try:
        return Header(**values)
    except TypeError:
        raise BadFixture("a field of 'genesisBlockHeader' is missing") from None


def _record(path: Path, name: str, network: str, error: str) -> dict[str, Any]:
    return {"file": path.as_posix(), "name": name, "fork": network, "index": 0, "pass": not error, "error": error}


def read_block_access_list(items: Any) -> BlockAccessList:
    """Return the list in JSON. Raises BadFixture."""
    found = BlockAccessList()
    for item in read_list(items, "blockAccessList"):
        fields = read_object(item, "blockAccessList")
        found.accounts[read_address(read_field(fields, "address"), "address")] = AccountAccess(
            {
                read_number(read_field(slot, "slot"), "slot"): _numbers(slot, "slotChanges", "postValue")
                for slot in read_list(fields.get("storageChanges"), "storageChanges")
            },
            {read_number(slot, "storageReads") for slot in read_list(fields.get("storageReads"), "storageReads")},
            _numbers(fields, "balanceChanges", "postBalance"),
            _numbers(fields, "nonceChanges", "postNonce"),
            {
                _index(change): read_bytes(read_field(change, "newCode"), "newCode")
                for change in read_list(fields.get("codeChanges"), "codeChanges")
            },
        )
    return found


def _numbers(fields: Any, changes: str, value: str) -> dict[int, int]:
    return {
        _index(change): read_number(read_field(change, value), value)
        for change in read_list(read_object(fields, changes).get(changes), changes)
    }


def _index(change: Any) -> int:
    return read_number(read_field(change, "blockAccessIndex"), "blockAccessIndex", 32)
