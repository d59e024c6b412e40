"""A titanoboa environment for Filecoin, in which Vyper contracts can call Filecoin's precompiles.

    boa.set_env(HypervisorEnv(network))                  # a Network in this process
    boa.set_env(HypervisorEnv("http://127.0.0.1:8545"))  # a node

titanoboa first executes each call with py-evm on a copy of the state, and then sends it to the network. py-evm has no
Filecoin precompiles, so the network executes them. Requires titanoboa, which is not a dependency of this package.
"""

from __future__ import annotations

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
"""Addresses of Filecoin's precompiles: resolve_address, lookup_delegated_address, call_actor, unused, call_actor_id."""


class NetworkRPC(RPC):
    """titanoboa's RPC interface to a network in this process."""

    def __init__(self, network: Network) -> None:
        self._requests = Requests(network)
        self.cache_version = 0

    @property
    def identifier(self) -> str:
        """Key of titanoboa's state cache, which changes when the state is changed outside of transactions."""
        return f"{self.name}-{id(self)}-{self.cache_version}"

    @property
    def name(self) -> str:
        """Name of the network in titanoboa's output."""
        return "hypervisor"

    def fetch(self, method: str, params: Any) -> Any:
        """Send one request and return its result. Raises RPCError."""
        return self.fetch_multi([(method, params)])[0]

    def fetch_multi(self, payloads: Sequence[tuple[str, Any]]) -> list[Any]:
        """Send several requests and return their results. Raises RPCError for the first one that fails."""
        results = []
        for method, params in payloads:
            response = self._requests.call(method, params)
            if "error" in response:
                raise RPCError.from_json(response["error"])
            results.append(response["result"])
        return results


class _NodeRPC(EthereumRPC):
    """titanoboa's RPC interface to a node over HTTP."""

    cache_version = 0

    @property
    def identifier(self) -> str:
        """Key of titanoboa's state cache, which changes when the state is changed outside of transactions."""
        return f"{super().identifier}-{self.cache_version}"


class HypervisorEnv(NetworkEnv):
    """A titanoboa environment for a `Network` or for the URL of a node.

    The network's accounts are available; the first one is the default sender. Any other address can be used as sender
    too: it is impersonated, and gets 1,000 FIL if it has nothing to pay gas with. State that is read from the network
    is only cached in memory, until `anchor` reverts it or one of the methods below changes it.
    """

    _tracer: Final = {"tracer": "callTracer", "onlyTopCall": True}
    _allowance: Final = 1000 * 10**18

    def __init__(self, network: Network | str, **options: Any) -> None:
        rpc = _NodeRPC(network) if isinstance(network, str) else NetworkRPC(network)
        super().__init__(rpc, **options)
        for address in rpc.fetch("eth_accounts", []):
            self.add_account(ExternalAccount(_rpc=rpc, address=address))

    def fork_rpc(self, rpc: RPC, *args: Any, **options: Any) -> None:
        """Fork the state of `rpc`, with a cache in memory instead of on disk."""
        super().fork_rpc(rpc, *args, **{"cache_dir": None, **options})
        self._unwrap_tracers()

    def _unwrap_tracers(self) -> None:
        """Remove the tracers of the last fork: titanoboa puts new ones around them, until Python's stack overflows."""
        opcodes = self.evm.vm.state.computation_class.opcodes
        for opcode, name in ((0x20, "sha3"), (0x55, "sstore")):
            tracer = opcodes[opcode]
            inner = getattr(tracer, name)
            if isinstance(inner, type(tracer)) and inner.env is self:
                setattr(tracer, name, getattr(inner, name))

    def execute_code(self, to_address: str, *args: Any, override_bytecode: bytes | None = None, **options: Any) -> Any:
        """Execute a call, with other code at its address if given: that of an injected or an internal function."""
        if override_bytecode is None:
            return super().execute_code(to_address, *args, **options)
        code = self.get_code(to_address)
        self.set_code(to_address, override_bytecode)
        try:
            return super().execute_code(to_address, *args, **options)
        finally:
            self.set_code(to_address, code)

    @contextmanager
    def anchor(self) -> Iterator[None]:
        """Return a context manager that reverts the network to its current state on exit."""
        try:
            with super().anchor():
                yield
        finally:
            self._rpc.cache_version += 1
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

    def _send_txn(self, from_: str, *args: Any, **options: Any) -> Any:
        account = self._accounts.get(from_)
        if account is None:
            self._rpc.fetch("anvil_impersonateAccount", [from_])
            self.add_account(ExternalAccount(_rpc=self._rpc, address=from_))
        if self.get_balance(from_) == 0:
            self.set_balance(from_, self._allowance)
        return super()._send_txn(from_, *args, **options)

    def _control(self, method: str, *params: Any) -> None:
        self._rpc.fetch(method, [*params])
        self._rpc.cache_version += 1
        self._reset_fork()


def _execute_precompile(computation: Any) -> Any:
    """Execute a call of a precompile on the network of the active environment, and return the computation.

    A state override replaces the code of the calling contract with a forwarder to the precompile, because the
    precompiles that call actors only accept delegate calls, and because the actor must see the contract as its caller.
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
    """Return EVM code that forwards its input to `target`, and returns or reverts with the output."""
    copy_input = bytes.fromhex("36 5f 5f 37")  # CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY
    operands = bytes.fromhex("5f 5f 36 5f") + (b"" if delegated else b"\x5f")  # output, input and, for CALL, the value
    call = b"\x73" + target + b"\x5a" + (b"\xf4" if delegated else b"\xf1")  # PUSH20, GAS, DELEGATECALL or CALL
    copy_output = bytes.fromhex("3d 5f 5f 3e")  # RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY
    head = copy_input + operands + call + copy_output
    success = len(head) + 6
    return head + bytes([0x60, success, 0x57]) + bytes.fromhex("3d 5f fd 5b 3d 5f f3")  # JUMPI to RETURN, else REVERT


for _address in PRECOMPILES:
    register_raw_precompile(_address, _execute_precompile, force=True)
