"""Makes short blockchain fixtures of every fork and transition, and lets go-ethereum check them.

    python -m tests.oracle.blocktests FILE [EVM]

FILE is written as gzip over JSON. EVM is go-ethereum's `evm`, built from tests/oracle/geth (`make geth`); every fixture
must pass its `blocktest`.
"""

import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.block import BlockAccessList, next_base_fee
from bridge.ethereum.patricia import EMPTY_ROOT, list_root
from bridge.ethereum.transactions import LEGACY, Transaction, key_address
from bridge.filecoin.receipts import bloom
from hypervisor.installation import OWN_EVM
from hypervisor.messages.signatures import public_key
from hypervisor_tools.laboratory.vectors.statetest import base_machine
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc, state_root
from runtimes.evm.blocks.block_run import (
    BUILDERS,
    CONSOLIDATION_REQUESTS,
    WITHDRAWAL_REQUESTS,
    BlockRun,
    requests_hash,
)
from runtimes.evm.blocks.chain_import import ChainImport, ImportedBlock, schedule_of
from runtimes.evm.blocks.headers import EMPTY_OMMERS, Header, RawBlock, block_difficulty
from runtimes.evm.forks.forks import ALIASES, Fork, ForkBlobs, fork_names
from store.keccak import keccak
from tests.runtimes.evm.assembler import assemble

KEY: Final = b"\x45" * 32
SENDER: Final = key_address(public_key(KEY))
WORKER, KILLER = (EthAddress(bytes([number]) * 20) for number in (0xAA, 0xBB))
MINER, OTHER_MINER = (EthAddress(bytes([number]) * 20) for number in (0xC1, 0xC2))
# each of these costs something else in some fork: a new and a known slot, an account, a call of nobody, an exponent;
# a zero is the difference of two numbers, because the assembler pushes it with an opcode of Shanghai
_ZERO: Final = "1 1 SUB"
WORK: Final = f"""
    1 NUMBER SSTORE {_ZERO} 1 SSTORE 7 1 SSTORE 1 SLOAD POP CALLER BALANCE POP CALLER EXTCODESIZE POP
    {_ZERO} DUP1 DUP1 DUP1 DUP1 NUMBER 5000 CALL POP 300 3 EXP POP PREVRANDAO POP 1 32 {_ZERO} LOG1
    64 {_ZERO} DUP1 DUP1 DUP1 4 3000 CALLCODE POP
"""
CHAINS: Final = (
    "FrontierToHomesteadAt5", "HomesteadToDaoAt5", "HomesteadToEIP150At5", "EIP158ToByzantiumAt5",
    "ByzantiumToConstantinopleFixAt5", "BerlinToLondonAt5", "ShanghaiToCancunAtTime15k", "CancunToPragueAtTime15k",
    "PragueToOsakaAtTime15k", "OsakaToBPO1AtTime15k", "BPO1ToBPO2AtTime15k", "BPO2ToAmsterdamAtTime15k",
)  # fmt: skip
BLOCKS: Final = 6


class _Drafted(Exception):
    """Raised after the execution of a block whose header is not complete."""


class Sealer(ChainImport):
    """A chain that fills in what a header says of its block's execution."""

    found: dict[str, Any] | None = None

    def seal(self, header: Header, transactions: list[bytes], ommers: list[Header]) -> bytes:
        self.found = {}
        with suppress(_Drafted):
            self.import_block(encode(header, transactions, ommers))
        header, self.found = replace(header, **self.found), None
        return encode(header, transactions, ommers)

    def _check_results(self, block: RawBlock, run: BlockRun) -> None:
        if self.found is None:
            super()._check_results(block, run)
            return
        self.found = {
            "gas_used": run.gas_used,
            "bloom": bloom([log for applied in run.applied for log in applied.logs()]),
            "receipts_root": list_root(applied.receipt() for applied in run.applied),
            "state_root": self._roots.root(self._machine),
            "requests_hash": None if run.requests is None else requests_hash(run.requests),
            "access_list_hash": None if run.access_list is None else run.access_list.hash(),
        }
        raise _Drafted


def encode(header: Header, transactions: list[bytes], ommers: list[Header]) -> bytes:
    parts: list[rlp.Item] = [
        rlp.decode(header.rlp()),
        [rlp.decode(raw) for raw in transactions],
        [rlp.decode(ommer.rlp()) for ommer in ommers],
    ]
    return rlp.encode(parts if header.withdrawals_root is None else [*parts, []])


def header_after(parent: Header, fork: Fork, parent_fork: Fork, timestamp: int, miner: EthAddress) -> Header:
    number = parent.number + 1
    first = fork.has_base_fee and not parent_fork.has_base_fee
    fee = 10**9 if first else next_base_fee(parent.base_fee or 0, parent.gas_used, parent.gas_limit)
    excess = 0
    if fork.beacon_root and parent_fork.beacon_root:
        excess = ForkBlobs(fork).next_excess(parent.excess_blob_gas or 0, parent.blob_gas_used or 0, fee)
    work = 0
    if not fork.proof_of_stake:
        has_ommers = parent.ommers_hash != EMPTY_OMMERS
        work = block_difficulty(fork, parent.difficulty, number, timestamp - parent.timestamp, has_ommers)
    return Header(
        parent_hash=parent.hash(),
        ommers_hash=EMPTY_OMMERS,
        coinbase=miner,
        state_root=bytes(32),
        transactions_root=EMPTY_ROOT,
        receipts_root=EMPTY_ROOT,
        bloom=bytes(256),
        difficulty=work,
        number=number,
        gas_limit=parent.gas_limit * 2 if first else parent.gas_limit,
        gas_used=0,
        timestamp=timestamp,
        extra_data=b"",
        mix_hash=bytes([number]) * 32,
        nonce=bytes(8),
        **later_fields(fork, fee, excess),
    )


def later_fields(fork: Fork, fee: int, excess: int) -> dict[str, Any]:
    values = {
        "base_fee": fee, "withdrawals_root": EMPTY_ROOT, "blob_gas_used": 0, "excess_blob_gas": excess,
        "beacon_root": bytes(32), "requests_hash": requests_hash([]), "access_list_hash": BlockAccessList().hash(),
        "slot_number": 0,
    }  # fmt: skip
    return {name: values[name] for name in fork.header_fields}


def accounts() -> dict[EthAddress, AllocAccount]:
    return {
        SENDER: AllocAccount(10**20),
        WORKER: AllocAccount(1, 1, assemble(WORK), {1: 9}),
        KILLER: AllocAccount(5, 1, assemble("0xdd SELFDESTRUCT")),
        WITHDRAWAL_REQUESTS: AllocAccount(0, 1, b"\0"),
        CONSOLIDATION_REQUESTS: AllocAccount(0, 1, b"\0"),
        **{contract: AllocAccount(0, 1, b"\0") for contract in BUILDERS},
    }


def transactions(number: int, nonce: int) -> Iterator[Transaction]:
    """Yield the transactions of a block: calls, and in the first block a creation and a destruction."""
    receivers: list[tuple[EthAddress | None, bytes]] = [(WORKER, b""), (WORKER, b"\0\1")]
    if number == 1:
        receivers += [(None, assemble(f"32 {_ZERO} RETURN")), (KILLER, b"")]
    for index, (to, data) in enumerate(receivers):
        yield Transaction(LEGACY, None, nonce + index, to, 0, data, 600_000, 2 * 10**9, 2 * 10**9)


def fixture(network: str) -> dict[str, Any]:
    """Return a chain of six blocks, with ommers under proof of work, and invalid ones before the last."""
    schedule = schedule_of(network)
    fork = schedule.first
    start = 14_960 if schedule.at_time else 1000
    genesis = replace(
        header_after(NOTHING, fork, fork, start, MINER),
        parent_hash=bytes(32),
        number=0,
        difficulty=0 if fork.proof_of_stake else 131_072,
        state_root=state_root(accounts()),
        **later_fields(fork, 10**9, 0),
    )
    machine = base_machine(OWN_EVM).fork()
    install_alloc(machine, accounts())
    chain = Sealer(machine, genesis, schedule)
    blocks: list[dict[str, Any]] = []
    parents: list[ImportedBlock] = [chain.head]
    nonce = 0
    for number in range(1, BLOCKS + 1):
        parent = parents[-1]
        timestamp = parent.header.timestamp + 12
        fork = schedule.fork_at(number, timestamp, parent.total_difficulty)
        header = header_after(parent.header, fork, parent.fork, timestamp, MINER)
        if schedule.dao_block is not None and number >= schedule.dao_block:
            header = replace(header, extra_data=b"dao-hard-fork")
        ommers = []
        if number == 3 and not fork.proof_of_stake:
            ommers = [header_after(parents[1].header, fork, fork, timestamp, OTHER_MINER)]
        raw = [each.sign(KEY).raw() for each in transactions(number, nonce)]
        header = replace(
            header,
            transactions_root=list_root(raw),
            ommers_hash=bytes(keccak(rlp.encode([rlp.decode(ommer.rlp()) for ommer in ommers]))),
        )
        block = chain.seal(header, raw, ommers)
        if number == BLOCKS:
            blocks += invalid_blocks(block)
        imported = chain.import_block(block)
        parents.append(imported)
        blocks.append({"rlp": _hex(block), "blockHeader": header_json(imported.header)})
        nonce += len(raw)
    return {
        "network": network,
        "pre": {_hex(address): account_json(account) for address, account in accounts().items()},
        "genesisBlockHeader": header_json(genesis),
        "blocks": blocks,
        "lastblockhash": _hex(chain.head.hash),
        "postStateHash": _hex(chain.head.header.state_root),
        "sealEngine": "NoProof",
    }


def invalid_blocks(block: bytes) -> Iterator[dict[str, Any]]:
    """Yield a block with one defect each, and the exception that it must raise."""
    parts = rlp.read_list(rlp.decode(block))
    defects: list[tuple[str, int, Any]] = [
        ("UNKNOWN_PARENT", 0, bytes(32)),
        ("INVALID_STATE_ROOT", 3, bytes(32)),
        ("INVALID_TRANSACTIONS_ROOT", 4, bytes(32)),
        ("INVALID_RECEIPTS_ROOT", 5, bytes(32)),
        ("INVALID_LOG_BLOOM", 6, b"\1" * 256),
        ("INVALID_BLOCK_NUMBER", 8, b"\x09"),
        ("INVALID_GASLIMIT", 9, rlp.number(4999)),
        ("INVALID_GAS_USED", 10, rlp.number(21_000)),
        ("INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT", 11, b"\1"),
        ("EXTRA_DATA_TOO_BIG", 12, bytes(33)),
    ]
    for name, place, value in defects:
        header = [*rlp.read_list(parts[0])]
        header[place] = value
        yield {"rlp": _hex(rlp.encode([header, *parts[1:]])), "expectException": f"BlockException.{name}"}
    twice = [parts[0], [*rlp.read_list(parts[1]), rlp.read_list(parts[1])[0]], *parts[2:]]
    yield {"rlp": _hex(rlp.encode(twice)), "expectException": "TransactionException.NONCE_MISMATCH_TOO_LOW"}


NOTHING: Final = Header(
    bytes(32), EMPTY_OMMERS, MINER, bytes(32), EMPTY_ROOT, EMPTY_ROOT, bytes(256), 131_072, 0, 8_000_000, 0, 0, b"",
    bytes(32), bytes(8), 10**9,
)  # fmt: skip
_NAMES: Final = {
    "parent_hash": "parentHash", "ommers_hash": "uncleHash", "state_root": "stateRoot",
    "transactions_root": "transactionsTrie", "receipts_root": "receiptTrie", "gas_limit": "gasLimit",
    "gas_used": "gasUsed", "extra_data": "extraData", "mix_hash": "mixHash", "base_fee": "baseFeePerGas",
    "withdrawals_root": "withdrawalsRoot", "blob_gas_used": "blobGasUsed", "excess_blob_gas": "excessBlobGas",
    "beacon_root": "parentBeaconBlockRoot", "requests_hash": "requestsHash",
    "access_list_hash": "blockAccessListHash", "slot_number": "slotNumber",
}  # fmt: skip


def header_json(header: Header) -> dict[str, Any]:
    found = {field.name: getattr(header, field.name) for field in fields(Header)}
    named = {_NAMES.get(name, name): value for name, value in found.items() if value is not None}
    values = {name: hex(value) if isinstance(value, int) else _hex(value) for name, value in named.items()}
    return {**values, "hash": _hex(header.hash())}


def account_json(account: AllocAccount) -> dict[str, Any]:
    slots = {f"0x{key:064x}": f"0x{word:064x}" for key, word in account.storage.items()}
    return {"balance": hex(account.balance), "nonce": hex(account.nonce), "code": _hex(account.code), "storage": slots}


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def main(file: str, evm: str = "") -> int:
    """Write the fixtures; return the number of those that geth refuses."""
    names = {alias: name for name, alias in ALIASES.items()}
    networks = [*(names.get(name, name) for name in fork_names()), *CHAINS]
    made = {
        f"{network} chain": fixture({v: k for k, v in ALIASES.items()}.get(network, network)) for network in networks
    }
    Path(file).write_bytes(gzip.compress(json.dumps(made, sort_keys=True).encode(), mtime=0))
    if not evm:
        return 0
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blocktests.json"
        path.write_text(json.dumps(made), encoding="utf-8")
        done = subprocess.run([evm, "blocktest", str(path)], capture_output=True, text=True, check=False)
        for result in json.loads(done.stdout[done.stdout.index("[") :]):
            if not result["pass"]:
                refused += 1
                print(result["name"], result.get("error"))
    print(f"{len(made)} fixtures, {refused} refused by go-ethereum")
    return refused


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
