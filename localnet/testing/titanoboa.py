"""A titanoboa environment on a network, in which Vyper contracts can call Filecoin's precompiles.

    boa.set_env(HypervisorEnv(network))                  # a Network in this process
    boa.set_env(HypervisorEnv("http://127.0.0.1:8545"))  # a node

titanoboa executes each call with py-evm on a copy of the state first, and sends it to the network afterwards. py-evm
has no Filecoin precompiles, so here they are executed by the network. Requires titanoboa, which is not installed with
this package.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import boa
from boa.network import ExternalAccount, NetworkEnv
from boa.rpc import RPC, EthereumRPC, RPCError, to_bytes
from boa.vm.py_evm import register_raw_precompile
from eth.exceptions import Revert

from localnet.network import Network
from localnet.testing.requests import Requests

PRECOMPILES: Final = tuple(f"0xfe{number:038x}" for number in range(1, 6))
"""Addresses of Filecoin's precompiles: resolve_address, lookup_delegated_address, call_actor, (none), call_actor_id."""


class NetworkRPC(RPC):  # type: ignore[misc]  # titanoboa has no type hints
    """titanoboa's RPC interface to a network in this process."""

    def __init__(self, network: Network) -> None:
        self._requests = Requests(network)
        self.reverts = 0

    @property
    def identifier(self) -> str:
        """Key of titanoboa's cache of state, which does not survive a revert."""
        return f"{self.name}-{id(self)}-{self.reverts}"

    @property
    def name(self) -> str:
        """Name of the network in titanoboa's output."""
        return "hypervisor"

    def fetch(self, method: str, params: Any) -> Any:
        """Return the result of one request. Raises RPCError."""
        return self.fetch_multi([(method, params)])[0]

    def fetch_multi(self, payloads: Sequence[tuple[str, Any]]) -> list[Any]:
        """Return the results of several requests. Raises RPCError for the first one that failed."""
        results = []
        for method, params in payloads:
            request = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
            response = json.loads(self._requests.answer(json.dumps(request).encode()))
            if "error" in response:
                raise RPCError.from_json(response["error"])
            results.append(response["result"])
        return results


class _NodeRPC(EthereumRPC):  # type: ignore[misc]
    """titanoboa's RPC interface to a node over HTTP."""

    reverts = 0

    @property
    def identifier(self) -> str:
        """Key of titanoboa's cache of state, which does not survive a revert."""
        return f"{super().identifier}-{self.reverts}"


class HypervisorEnv(NetworkEnv):  # type: ignore[misc]
    """A titanoboa environment on a `Network` or on the URL of a node.

    The network's accounts are available, and the first one sends unless another sender is named. State read from the
    network is cached in memory only, until `anchor` reverts.
    """

    _tracer: Final = {"tracer": "callTracer", "onlyTopCall": True}

    def __init__(self, network: Network | str, **options: Any) -> None:
        rpc = _NodeRPC(network) if isinstance(network, str) else NetworkRPC(network)
        super().__init__(rpc, **options)
        for address in rpc.fetch("eth_accounts", []):
            self.add_account(ExternalAccount(_rpc=rpc, address=address))

    def fork_rpc(self, rpc: RPC, *args: Any, **options: Any) -> None:
        """Read the state of `rpc` from now on, with a cache in memory."""
        super().fork_rpc(rpc, *args, **{"cache_dir": None, **options})

    @contextmanager
    def anchor(self) -> Iterator[None]:
        """Revert the network at the end of the block to its state at the start."""
        try:
            with super().anchor():
                yield
        finally:
            self._rpc.reverts += 1
            self._reset_fork()

    def set_balance(self, address: str, value: int) -> None:
        """Set the balance of an account, in attoFIL (wei)."""
        self._control("anvil_setBalance", str(address), hex(value))

    def set_code(self, address: str, code: bytes) -> None:
        """Set the runtime bytecode of a contract."""
        self._control("anvil_setCode", str(address), f"0x{code.hex()}")

    def set_storage(self, address: str, slot: int, value: int) -> None:
        """Set one storage slot of a contract."""
        self._control("anvil_setStorageAt", str(address), hex(slot), f"0x{value:064x}")

    def time_travel(self, seconds: int | None = None, blocks: int | None = None, block_delta: int = 12) -> None:
        """Mine `blocks` blocks `block_delta` seconds apart, or one block `seconds` later."""
        if (seconds is None) == (blocks is None):
            raise ValueError("pass either seconds or blocks to time_travel")
        if seconds is not None:
            self._rpc.fetch("evm_increaseTime", [seconds])
            self._control("evm_mine")
        elif blocks is not None:
            self._control("anvil_mine", hex(blocks), hex(block_delta))

    def _control(self, method: str, *params: Any) -> None:
        self._rpc.fetch(method, [*params])
        self._rpc.reverts += 1
        self._reset_fork()


def _execute_precompile(computation: Any) -> Any:
    """Execute a call of a precompile on the network of the active environment, and return the computation.

    The caller's address gets code that passes the call on, by a state override: the precompiles that call actors accept
    delegate calls only, and the actor sees the contract as its caller.
    """
    env = boa.env
    if not isinstance(env, HypervisorEnv):
        return computation
    message = computation.msg
    delegated = message.code_address != message.to
    contract = f"0x{(message.to if delegated else message.sender).hex()}"
    call = {"from": f"0x{message.sender.hex()}", "to": contract, "data": f"0x{message.data_as_bytes.hex()}"}
    code = {contract: {"code": f"0x{_forwarder(message.code_address, delegated).hex()}"}}
    try:
        computation.output = to_bytes(env._rpc.fetch_uncached("eth_call", [call, "latest", code]))
    except RPCError as error:
        raise Revert(str(error).encode()) from None
    return computation


def _forwarder(target: bytes, delegated: bool) -> bytes:
    """Return code that calls `target` with its own input and returns its output, or reverts with it."""
    copy_input = bytes.fromhex("36 5f 5f 37")  # CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY
    operands = bytes.fromhex("5f 5f 36 5f") + (b"" if delegated else b"\x5f")  # output, input and, for CALL, the value
    call = b"\x73" + target + b"\x5a" + (b"\xf4" if delegated else b"\xf1")  # PUSH20, GAS, DELEGATECALL or CALL
    copy_output = bytes.fromhex("3d 5f 5f 3e")  # RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY
    head = copy_input + operands + call + copy_output
    success = len(head) + 6
    return head + bytes([0x60, success, 0x57]) + bytes.fromhex("3d 5f fd 5b 3d 5f f3")  # JUMPI to RETURN, else REVERT


for _address in PRECOMPILES:
    register_raw_precompile(_address, _execute_precompile, force=True)
