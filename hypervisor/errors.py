"""The errors of the machine.

    HypervisorError
    |- InvalidInput            malformed input from a caller (also a ValueError)
    |  |- AddressError         an address
    |  |- MessageError         a message, a receipt or a number in one
    |  |- BundleError          a bundle of built-in actors
    |  `- InvalidModule        a WASM module that the consensus rules reject
    |     `- UnlinkableModule  one that compiles, but has invalid imports, memory or entry point
    |- RuntimeUnavailable      no runtime of that name is installed
    |- SyscallError            returned to the guest as an error number; the guest continues
    |- ActorExit               an actor exited; unwinds to its caller
    |- OutOfGas                unwinds to the nearest caller that still has gas
    |- MemoryExhausted         executions that share memory have none left; unwinds the message, without effect
    |- LongExecution           a machine limited to short executions stopped one; unwinds the message, without effect
    `- Fatal                   execution cannot continue: a defect of this project or of the store, without a receipt
       `- ActorFatal           an actor's error that ends the whole message, which has a receipt

Execution distinguishes SyscallError, exits (ActorExit, OutOfGas) and Fatal strictly. `store` has its own errors
(`store.blockstore.StoreError`). A missing block of reachable state is `Fatal`; any other store error during execution
is raised unchanged after the message was rolled back.
"""

from typing import ClassVar

from hypervisor.exit_codes import ErrorNumber, exit_name


class HypervisorError(Exception):
    """Base class of this project's errors outside `store`."""

    has_lines: ClassVar[bool] = False
    """True if the text has several lines; otherwise line breaks in it come from input and are escaped."""


class InvalidInput(HypervisorError, ValueError):
    """Raised for malformed input; the message states the problem and the value."""


class AddressError(InvalidInput):
    """Raised for bytes or text that are not a Filecoin address."""


class MessageError(InvalidInput):
    """Raised for a message, a receipt or a number in one that cannot be encoded or decoded."""


class BundleError(InvalidInput):
    """Raised for an unavailable, incomplete or inconsistent bundle of built-in actors."""


class InvalidModule(InvalidInput):
    """Raised for a WASM module that the machine's rules reject."""


class UnlinkableModule(InvalidModule):
    """Raised for a WASM module that compiles but has an invalid import, memory or `invoke` function.

    The network detects this when an actor runs the module, not when it compiles it.
    """


class RuntimeUnavailable(HypervisorError):
    """Raised when no runtime is registered under the name for a code CID."""


class SyscallError(HypervisorError):
    """Raised when a kernel operation fails; the guest sees `number`."""

    def __init__(self, number: ErrorNumber, message: str) -> None:
        super().__init__(f"{number.name}: {message}")
        self.number = number
        self.message = message


class ActorExit(HypervisorError):
    """Raised when an actor exits with `code` and optionally a block (a handle of its registry, 0 = none).

    `is_plain` is true if the message adds nothing to the code.
    """

    def __init__(self, code: int, block: int = 0, message: str = "", *, is_plain: bool = False) -> None:
        super().__init__(f"exit {exit_name(code)}: {message}" if message else f"exit {exit_name(code)}")
        self.code = code
        self.block = block
        self.message = message
        self.is_plain = is_plain


class OutOfGas(HypervisorError):
    """Raised when the current gas limit is reached; all gas within that limit is used."""


class MemoryExhausted(HypervisorError):
    """Raised where executions exceed the memory that they share (`hypervisor.threads`); the message has no effect."""


class LongExecution(HypervisorError):
    """Raised instead of an execution that may take long (`hypervisor.threads`); the message has no effect."""


class Fatal(HypervisorError):
    """Raised when execution cannot continue: a missing block, a malformed state tree, missing code."""

    has_lines = True


class ActorFatal(Fatal):
    """Raised when an actor does what is fatal on the network, such as an exit with a block that does not exist.

    The message ends with exit code 10 and uses its whole gas limit. Source: ref-fvm fvm/src/executor/default.rs.
    """
