"""Every error of the machine, and the three kinds that execution never mixes.

    HypervisorError
    |- InvalidInput            what the caller handed to the machine is malformed (also a ValueError)
    |  |- AddressError         an address
    |  |- MessageError         a message, receipt or number in it
    |  |- BundleError          a bundle of built-in actors
    |  `- InvalidModule        a WASM module that the consensus rules refuse
    |     `- UnlinkableModule  one that compiles, but lacks its memory, an import or the type of its entry
    |- RuntimeUnavailable      no runtime of that name is installed
    |- SyscallError            goes back to the guest as an error number; the guest goes on
    |- ActorExit               an actor ended itself; unwinds to its caller
    |- OutOfGas                unwinds to the nearest caller that still has gas
    `- Fatal                   a defect of ours or of the store; never turned into a receipt in silence

`store` has its own tree (`store.blockstore.StoreError`). A block that reachable state lacks is `Fatal`; any other store
error met while executing is raised as it is, with the message taken back.
"""

from typing import ClassVar

from hypervisor.exit_codes import ErrorNumber, exit_name


class HypervisorError(Exception):
    """The root of this project's errors outside `store`."""

    has_lines: ClassVar[bool] = False
    """Whether the text is of several lines; else a line's end in it is a stranger's, and is shown as its escape."""


class InvalidInput(HypervisorError, ValueError):
    """Something handed in from outside is malformed; the text says what, with which value."""


class AddressError(InvalidInput):
    """Bytes or text that are no Filecoin address."""


class MessageError(InvalidInput):
    """A message, receipt or number in one that cannot be encoded or decoded."""


class BundleError(InvalidInput):
    """A bundle of built-in actors that is incomplete or inconsistent."""


class InvalidModule(InvalidInput):
    """A WASM module that the machine's rules refuse."""


class UnlinkableModule(InvalidModule):
    """A WASM module that compiles and cannot run: an import is no syscall, its memory or its `invoke` is not in order.

    The network's machine finds this out when an actor runs it, not when it compiles the module.
    """


class RuntimeUnavailable(HypervisorError):
    """No runtime is registered under the name that a code CID asks for."""


class SyscallError(HypervisorError):
    """A kernel operation refused; `number` is what the guest sees."""

    def __init__(self, number: ErrorNumber, message: str) -> None:
        super().__init__(f"{number.name}: {message}")
        self.number = number
        self.message = message


class ActorExit(HypervisorError):
    """An actor ended its invocation with `code` and, perhaps, a block (a handle of its own registry, 0 = none).

    `is_plain` if the message says no more than the code.
    """

    def __init__(self, code: int, block: int = 0, message: str = "", *, is_plain: bool = False) -> None:
        super().__init__(f"exit {exit_name(code)}: {message}" if message else f"exit {exit_name(code)}")
        self.code = code
        self.block = block
        self.message = message
        self.is_plain = is_plain


class OutOfGas(HypervisorError):
    """The gas limit in force was reached; everything within that limit counts as used."""


class Fatal(HypervisorError):
    """Execution cannot go on: a missing block, a broken state tree, code that is not there. Carries its context."""

    has_lines = True
