"""The ABI facade: built-in actors take plain Solidity calls. Off by default, since the real network has no such thing.

    offer_facade(machine)     # or Network(facade=True), `hypervisor node --abi-facade`

It stands before the native runtime. A call of InvokeEVM, which is how every contract and every Ethereum transaction
calls what is at an address, becomes the call of the method that its selector means, in the same frame and from the same
caller, with its value, its gas and its read-only flag; the actor's answer goes back as ABI. What fails reverts (exit
33) with one of the errors of `bridge.facade`, and nothing of it stays. Every other call passes as it is: so do calls of
contracts, accounts and users' actors, calls without data, and calldata that means nothing to an account.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bridge.cbor import ParamsError, byte_string
from bridge.facade import SELECTOR, FacadeFunction, FacadeRefusal, facade
from bridge.method_numbers import INVOKE_EVM
from bridge.params import calldata_of
from hypervisor.blocks import Block
from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel import Kernel
from hypervisor.registry import NATIVE
from hypervisor.runtime import InstallServices, Outcome, Runtime
from hypervisor.types import NO_BLOCK, BlockId
from store.cid import CBOR, DAG_CBOR, Cid

if TYPE_CHECKING:
    from hypervisor.machine import Hypervisor

PRICE_PER_BYTE: Final = 350_000
"""Milligas for each byte of ABI that is read or written: what the official EVM actor pays to encode one of CBOR."""

_TAKES_ANYTHING: Final = ("account",)


def offer_facade(machine: Hypervisor) -> None:
    """Let a machine and its forks take plain Solidity calls of built-in actors from now on."""
    machine.registry.wrap(NATIVE, FacadeRuntime)


class FacadeRuntime:
    """The native runtime, with the facade before it. It keeps nothing."""

    def __init__(self, behind: Runtime) -> None:
        self._behind = behind

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """The native runtime's own."""
        self._behind.prepare(modules, features, services)

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """The native runtime's own."""
        return self._behind.upgrade(kernel, code, params, info)

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run a method of a native actor; a call of a function of its interface as the method that it means."""
        if kernel.context.method != INVOKE_EVM:
            return self._behind.invoke(kernel, code, params)
        name = kernel.machine.manifest.name_of(code) or ""
        functions = facade(name)
        calldata = _calldata(kernel.ipld.find(params)) if functions else b""
        function = functions.get(calldata[:SELECTOR])
        if not calldata or (function is None and name in _TAKES_ANYTHING):
            return self._behind.invoke(kernel, code, params)
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
        outcome = self._behind.invoke(inner, code, inner.ipld.create(CBOR, params) if params else NO_BLOCK)
        try:
            block = inner.ipld.find(outcome.block)
        except SyscallError:
            return Outcome(ExitCode.SYS_MISSING_RETURN, message=outcome.message)
        if outcome.exit_code != ExitCode.OK:
            data = b"" if block is None else block.data
            raise FacadeRefusal("ActorError", receiver, function.method, outcome.exit_code, data)
        if block is not None and block.codec not in (CBOR, DAG_CBOR):
            raise FacadeRefusal("BadAnswer", receiver, function.method, f"codec 0x{block.codec:x}")
        answer = function.answer(receiver, None if block is None else block.data)
        # return
        kernel.gas.charge("OnFacade", PRICE_PER_BYTE * len(answer))
        return Outcome(ExitCode.OK, _block(kernel, answer, function), outcome.message)


def _calldata(block: Block | None) -> bytes:
    """The calldata in a block of parameters; nothing in one that holds something else."""
    try:
        return b"" if block is None else calldata_of(block.codec, block.data)
    except ParamsError:
        return b""


def _block(kernel: Kernel, answer: bytes, function: FacadeFunction) -> BlockId:
    try:
        return kernel.ipld.create(CBOR, byte_string(answer))
    except SyscallError as error:  # the ABI's words make it larger than a block may be
        raise FacadeRefusal("BadAnswer", kernel.context.receiver, function.method, str(error)) from None


def _revert(kernel: Kernel, refusal: FacadeRefusal) -> Outcome:
    try:
        block = kernel.ipld.create(CBOR, byte_string(refusal.data))
    except SyscallError:  # an exit with so much data that it cannot be handed on within an error
        block = NO_BLOCK
    return Outcome(ExitCode.EVM_CONTRACT_REVERTED, block, str(refusal))
