"""The interface between the machine and the runtimes that execute actors' code.

A runtime is created once and may serve several machines: its caches depend on code alone, and it gets everything else
from the kernel of an invocation. Runtimes are registered under the entry-point group `hypervisor.runtimes`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from hypervisor.kernel import Kernel
from hypervisor.types import NO_BLOCK, BlockId
from store.cid import Cid


@dataclass(init=False, slots=True, unsafe_hash=True)
class Outcome:
    """The end of an invocation: exit code, a block of its registry (0 = none), and the actor's message.

    `is_plain` is true if the message adds nothing to the exit code.
    """

    exit_code: Final[int]
    block: Final[BlockId]
    message: Final[str]
    is_plain: Final[bool]

    def __init__(
        self,
        exit_code: int,
        block: BlockId = NO_BLOCK,
        message: str = "",
        is_plain: bool = False,
    ) -> None:
        self.exit_code = exit_code
        self.block = block
        self.message = message
        self.is_plain = is_plain


@dataclass(frozen=True, slots=True)
class RuntimeServices:
    """Parameters for creating runtimes: the machine's options, such as `evm`, the name of the EVM engine."""

    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstallServices:
    """Services of the machine for preparing modules.

    `load` returns an installed module by its CID, or None. `charge` uses milligas under a name and raises OutOfGas; it
    is None if installing is free.
    """

    load: Callable[[Cid], bytes | None]
    charge: Callable[[str, int], None] | None = None


class Runtime(Protocol):
    """Executes invocations of actors.

    A class with the attribute `runs_short = True` checks the limit of `kernel.machine.short` while an actor's code runs
    (`hypervisor.short_executions`). Other runtimes are not used while there is a limit.
    """

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the method of `kernel.context` with the block `params` (0 = none).

        The module is `kernel.load_code(code)`. Every result of the guest is an Outcome: a return, an exit or a trap
        (exit code 4). OutOfGas and Fatal propagate.
        """

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Run the code's `upgrade` function for the receiver, which had different code before.

        The blocks are the parameters (0 = none) and a CBOR tuple with the CID of the previous code. Code without an
        `upgrade` function exits with SYS_INVALID_RECEIVER. Otherwise like `invoke`.
        """

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Validate and compile modules before their first invocation. Raises InvalidModule.

        If `features` of a network are given, a module that needs other ones is rejected too. `services` finds modules
        that others import, if the rules allow that (lab `libraries`).
        """
