"""The state of a network at a block, read from an Ethereum node account by account and slot by slot.

Methods used: eth_chainId, eth_blockNumber, eth_getBlockByNumber, eth_getBalance, eth_getTransactionCount, eth_getCode
and eth_getStorageAt. Filecoin nodes have them too. A malformed response raises NodeError with the node, the method
and the value.

Source of the shapes: ethereum/execution-apis.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from localnet.fork.node_client import FORK_REQUESTS, NodeClient, NodeError, NotCached, OnWait, RequestOptions
from localnet.fork.response_cache import NODE, ResponseCache, cache_file, cached_chain_id
from localnet.fork.response_values import bytes_of, quantity, text, unsigned, word_of
from store.untrusted import parse_json

T = TypeVar("T")

MAX_CODE_BYTES: Final = 1 << 20
"""Maximum size of a contract's code in bytes; no network allows more."""
_AT_ONCE: Final = 3
"""Number of concurrent requests about an account."""
_NO_STATE: Final = ("missing trie node", "state is not available", "pruned", "header not found", "historical state")
"""Texts by which nodes report a missing state of a block."""


@dataclass(frozen=True, slots=True)
class RemoteAccount:
    """An account of the network. Balance in wei (attoFIL)."""

    balance: int
    nonce: int
    code: bytes


@dataclass(frozen=True, slots=True)
class RemoteBlock:
    """The block fields that opcodes can read. Time in Unix seconds, the fee in wei per gas."""

    number: int
    hash: bytes
    timestamp: int
    base_fee: int
    coinbase: EthAddress
    randomness: bytes
    gas_limit: int
    excess_blob_gas: int = 0
    gas_used: int = 0
    blob_gas_used: int = 0


class RemoteChain:
    """A client of a node for the blocks and states of its network."""

    def __init__(
        self,
        url: str,
        caches: bool = True,
        options: RequestOptions = FORK_REQUESTS,
        *,
        file: Path | None = None,
        chain_id: int | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        """Create the client. Responses are cached in `file`, and with `caches` in the user's cache folder.

        `chain_id` is that of the network, if it is known. Raises InvalidInput for a text that is not a URL.
        """
        self.client = NodeClient(url, options=options, on_wait=on_wait)
        self.url, self.options, self._caches, self._file = url, options, caches or options.offline, file
        self._pool = ThreadPoolExecutor(_AT_ONCE, "fork")
        self._chain_id = chain_id
        self._opening = Lock()
        self._states: dict[int, RemoteState] = {}
        self._open_cache: ResponseCache | None = None

    @property
    def chain_id(self) -> int:
        """The network's chain id. Raises NodeError."""
        if self._chain_id is None:
            if self.options.offline:
                self._chain_id = cached_chain_id(self.url)
            if self._chain_id is None:
                self._chain_id = self.client.read(lambda response: unsigned(quantity(response)), "eth_chainId")
        return self._chain_id

    def read(self, parse: Callable[[Any], T], method: str, *params: Any) -> T:
        """Return the node's response, parsed. Raises NodeError, also for another shape.

        The response is recorded for later use with `RequestOptions.offline`.
        """
        if not self._caches and self._file is None:
            return self.client.read(parse, method, *params)
        request = f"{method} {json.dumps(params, sort_keys=True)}"
        if self.options.offline:
            recorded = self.cache().get(NODE, request)
            if recorded is None:
                raise NotCached(
                    self.client.name, f"the response to {request:.100}", self.cache().missing(NODE, request)
                )
            return parse(parse_json(recorded.encode()))
        response: Any = None

        def parse_and_record(found: Any) -> T:
            nonlocal response
            response = found
            return parse(found)

        found = self.client.read(parse_and_record, method, *params)
        self.cache().put(NODE, request, json.dumps(response))
        return found

    def block_number(self) -> int:
        """Return the number of the newest block. Raises NodeError."""
        return self.read(lambda response: unsigned(quantity(response)), "eth_blockNumber")

    def block(self, number: int | None = None) -> RemoteBlock:
        """Return a block by its number, the newest one by default. Raises NodeError."""
        wanted = self.block_number() if number is None else number
        found = self.read(_block, "eth_getBlockByNumber", hex(wanted), False)
        if found is None:
            raise NodeError(f"failed to get block number: {wanted}; latest block number: {self.block_number()}")
        if found.number != wanted:
            raise NodeError(f"{self.client.name} returned block {found.number} instead of {wanted}")
        return found

    def state(self, number: int | None = None) -> RemoteState:
        """Return the state after a block, the newest one by default. Raises NodeError."""
        state = None if number is None else self._states.get(number)
        if state is None:
            state = self.state_after(self.block(number))
        return state

    def state_after(self, block: RemoteBlock) -> RemoteState:
        """Return the state after a block that is known. Raises NodeError."""
        return self._states.setdefault(block.number, RemoteState(self, block, self.cache()))

    def cache(self) -> ResponseCache:
        """Return the response cache of this node, opened when the first state is read."""
        with self._opening:
            if self._open_cache is None:
                shared = cache_file(self.chain_id, self.url) if self._caches else None
                self._open_cache = ResponseCache(self._file, shared, read_only=self.options.offline)
            return self._open_cache

    def run_concurrently(self, *requests: Callable[[], T]) -> list[T]:
        """Send requests concurrently and return their results."""
        return list(self._pool.map(lambda request: request(), requests))

    def close(self) -> None:
        """Close connections and files."""
        self._pool.shutdown(cancel_futures=True)
        if self._open_cache is not None:
            self._open_cache.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RemoteState:
    """The accounts and slots after one block; each is requested once."""

    def __init__(self, chain: RemoteChain, block: RemoteBlock, cache: ResponseCache) -> None:
        self.chain, self.block = chain, block
        self._cache = cache
        self._key = f"{block.number}-{block.hash.hex()}"
        self._accounts: dict[EthAddress, RemoteAccount | None] = {}
        self._words: dict[tuple[EthAddress, int], int] = {}
        self._hashes: dict[int, bytes] = {}

    def account(self, address: EthAddress) -> RemoteAccount | None:
        """Return an account; None if its balance and nonce are 0 and it has no code. Raises NodeError."""
        if address not in self._accounts:
            text = f"0x{address.hex()}"
            what = f"account {text}"
            balance, nonce, code = self.chain.run_concurrently(
                lambda: self._read_part(quantity, what, "eth_getBalance", text),
                lambda: self._read_part(
                    lambda response: unsigned(quantity(response)), what, "eth_getTransactionCount", text
                ),
                lambda: self._read_part(_code, what, "eth_getCode", text),
            )
            assert isinstance(balance, int)
            assert isinstance(nonce, int)
            assert isinstance(code, bytes)
            account = RemoteAccount(balance, nonce, code)
            self._accounts[address] = account if balance or nonce or code else None
        return self._accounts[address]

    def word(self, address: EthAddress, slot: int) -> int:
        """Return the word in a slot. Raises NodeError."""
        key = address, slot
        if key not in self._words:
            text = f"0x{address.hex()}"
            what = f"slot 0x{slot:x} of account {text}"
            self._words[key] = self._read_part(quantity, what, "eth_getStorageAt", text, f"0x{slot:064x}")
        return self._words[key]

    def block_hash(self, number: int) -> bytes:
        """Return the hash of an earlier block. Raises NodeError."""
        if number == self.block.number:
            return self.block.hash
        if number not in self._hashes:
            found = self.lookup(_block, "eth_getBlockByNumber", hex(number), False)
            if found is None or found.number != number:
                raise NodeError(
                    f"{self.chain.client.name} has no block {number}, which is before block {self.block.number}"
                )
            self._hashes[number] = found.hash
        return self._hashes[number]

    def lookup(self, read: Callable[[Any], T], method: str, *params: Any) -> T:
        """Return the node's response about blocks up to this one; responses are cached. Raises NodeError."""
        request = f"{method} {json.dumps(params, sort_keys=True)}"
        cached = self._cache.get(self._key, request)
        if cached is not None:
            try:
                return read(parse_json(cached.encode()))
            except (KeyError, TypeError, ValueError):
                pass  # the file is untrusted
        self._require_requests(f"the response to {request:.100}", request)

        def checked(response: Any) -> T:
            found = read(response)
            if response is not None:
                self._cache.put(self._key, request, json.dumps(response))
            return found

        return self.chain.client.read(checked, method, *params)

    def _require_requests(self, what: str, request: str) -> None:
        """Raise NotCached with `RequestOptions.offline`."""
        if self.chain.options.offline:
            raise NotCached(
                self.chain.client.name,
                f"{what} at block {self.block.number} of chain {self.chain.chain_id}",
                self._cache.missing(self._key, request),
            )

    def _read_part(self, read: Callable[[Any], T], what: str, method: str, *params: str) -> T:
        """Return a part of the state, named `what` in errors. Raises NodeError."""
        request = " ".join((method, *params))
        cached = self._cache.get(self._key, request)
        if cached is not None:
            try:
                return read(cached)
            except (TypeError, ValueError):
                pass  # the file is untrusted
        self._require_requests(what, request)
        raw = ""

        def checked(response: Any) -> T:
            nonlocal raw
            raw = text(response)
            return read(raw)

        try:
            found = self.chain.client.read(checked, method, *params, hex(self.block.number))
        except NodeError as error:
            if not (error.answered and any(words in str(error).lower() for words in _NO_STATE)):
                raise
            raise NodeError(
                f"{error}: this node does not have the state of block {self.block.number}; fork at a newer block, or "
                f"use an archive node",
                error.data,
                code=error.code,
                answered=True,
            ) from None
        self._cache.put(self._key, request, raw)
        return found


def is_local(url: str) -> bool:
    """Return True if the node runs on this machine, so that its blocks are private."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"


def _code(value: Any) -> bytes:
    return bytes_of(value, MAX_CODE_BYTES)


def _block(response: Any) -> RemoteBlock | None:
    if response is None:
        return None
    if not isinstance(response, Mapping):
        raise TypeError("expected an object")
    return RemoteBlock(
        number=unsigned(quantity(response["number"])),
        hash=word_of(response["hash"]),
        timestamp=unsigned(quantity(response["timestamp"])),
        base_fee=unsigned(quantity(response.get("baseFeePerGas") or "0x0")),
        coinbase=EthAddress(word_of(response["miner"], 20)) if response.get("miner") else ZERO_ADDRESS,
        randomness=word_of(response["mixHash"]) if response.get("mixHash") else bytes(32),
        gas_limit=unsigned(quantity(response["gasLimit"])),
        excess_blob_gas=unsigned(quantity(response.get("excessBlobGas") or "0x0")),
        gas_used=unsigned(quantity(response.get("gasUsed") or "0x0")),
        blob_gas_used=unsigned(quantity(response.get("blobGasUsed") or "0x0")),
    )
