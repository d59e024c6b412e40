"""The lab `facade`: plain Solidity calls to built-in actors.

It wraps the native runtime. A call of InvokeEVM, which contracts and Ethereum transactions use for all calls, is
translated to a call of the method with its selector, in the same frame and from the same caller, with the same value,
gas and read-only flag; the actor's return data is converted to ABI. A failure reverts (exit code 33) with one of the
errors of `hypervisor_labs.facade`, and is rolled back. All other calls are unchanged: calls of contracts, accounts and
user actors, calls without data, and calldata to an account without a matching function.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from bridge.filecoin.cbor import ParamsError, byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import calldata_of
from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.blocks import Block
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import NATIVE, InstallServices, Outcome, Runtime
from hypervisor.machine.rules import Lab
from hypervisor.types import NO_BLOCK, BlockId
from hypervisor_labs.facade import SELECTOR, FacadeFunction, FacadeRefusal, facade
from store.cid import CBOR, DAG_CBOR, Cid

PRICE_PER_BYTE: Final = 350_000
"""Milligas per byte of ABI read or written, equal to the official EVM actor's cost of encoding a byte of CBOR."""

_ACCEPTS_ANY_CALLDATA: Final = ("account",)


def enable_facade(machine: MachineState) -> None:
    """Enable plain Solidity calls to built-in actors for a machine and those that share its runtimes."""
    machine.registry.wrap(NATIVE, FacadeRuntime, once=True)


LAB: Final = Lab(
    what="built-in actors that contracts and wallets call through Solidity interfaces",
    machine="hypervisor_labs.facade_runtime:enable_facade",
)


class FacadeRuntime:
    """The native runtime wrapped by the facade. It has no state."""

    def __init__(self, inner: Runtime) -> None:
        self._inner = inner

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        self._inner.prepare(modules, features, services)

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        return self._inner.upgrade(kernel, code, params, info)

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run a method of a native actor, translating calls of functions of its interface."""
        if kernel.context.method != INVOKE_EVM:
            return self._inner.invoke(kernel, code, params)
        name = kernel.machine.manifest.name_of(code) or ""
        functions = facade(name)
        calldata = _calldata(kernel.ipld.find(params)) if functions else b""
        function = functions.get(calldata[:SELECTOR])
        if not calldata or (function is None and name in _ACCEPTS_ANY_CALLDATA):
            return self._inner.invoke(kernel, code, params)
        try:
            if function is None:
                raise FacadeRefusal(
                    "UnknownFunction", kernel.context.receiver, calldata[:SELECTOR].ljust(SELECTOR, b"\0")
                )
            return self._translate(kernel, code, function, calldata)
        except FacadeRefusal as refusal:
            return _revert(kernel, refusal)

    def _translate(self, kernel: Kernel, code: Cid, function: FacadeFunction, calldata: bytes) -> Outcome:
        # check
        receiver = kernel.context.receiver
        if kernel.context.value and not function.payable:
            raise FacadeRefusal("NotPayable", receiver, function.selector)
        # charge
        kernel.gas.charge("OnFacade", PRICE_PER_BYTE * len(calldata))
        # do
        params = function.params(calldata)
        inner = Kernel(kernel.calls, replace(kernel.context, method=function.method))
        kernel.debug_log(f"{function.signature} is method {function.method}")
        outcome = self._inner.invoke(inner, code, inner.ipld.create(CBOR, params) if params else NO_BLOCK)
        try:
            block = inner.ipld.find(outcome.block)
        except SyscallError:
            return Outcome(ExitCode.SYS_MISSING_RETURN, message=outcome.message)
        if outcome.exit_code != ExitCode.OK:
            data = b"" if block is None else block.data
            raise FacadeRefusal("ActorError", receiver, function.method, outcome.exit_code, data)
        if block is not None and block.codec not in (CBOR, DAG_CBOR):
            raise FacadeRefusal("BadAnswer", receiver, function.method, f"codec 0x{block.codec:x}")
        output = function.encode_return(receiver, None if block is None else block.data)
        # return
        kernel.gas.charge("OnFacade", PRICE_PER_BYTE * len(output))
        return Outcome(ExitCode.OK, _block(kernel, output, function), outcome.message)


def _calldata(block: Block | None) -> bytes:
    """Return the calldata in a parameter block; empty if it contains something else."""
    try:
        return b"" if block is None else calldata_of(block.codec, block.data)
    except ParamsError:
        return b""


def _block(kernel: Kernel, output: bytes, function: FacadeFunction) -> BlockId:
    try:
        return kernel.ipld.create(CBOR, byte_string(output))
    except SyscallError as error:  # the ABI encoding exceeds the maximum block size
        raise FacadeRefusal("BadAnswer", kernel.context.receiver, function.method, str(error)) from None


def _revert(kernel: Kernel, refusal: FacadeRefusal) -> Outcome:
    try:
        block = kernel.ipld.create(CBOR, byte_string(refusal.data))
    except SyscallError:  # the exit's data is too large to be included in an error
        block = NO_BLOCK
    return Outcome(ExitCode.EVM_CONTRACT_REVERTED, block, str(refusal))
