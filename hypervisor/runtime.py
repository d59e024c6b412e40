"""The seam between the machine and whatever executes an actor's code.

A runtime is built once and may serve several machines: it keeps caches that depend on code alone, and asks everything
else of the kernel of the invocation. Runtimes register under the entry-point group `hypervisor.runtimes`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hypervisor.kernel import Kernel
from hypervisor.types import NO_BLOCK, BlockId
from store.cid import Cid


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended: exit code, a block of the invocation's registry (0 = none), the actor's own words.

    `is_plain` if these say no more than the exit code.
    """

    exit_code: int
    block: BlockId = NO_BLOCK
    message: str = ""
    is_plain: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeServices:
    """What runtimes are built with: the machine's options for them, such as `evm`, the name of the EVM engine."""

    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstallServices:
    """What a runtime may ask of the machine while it prepares modules.

    `load` gives an installed module by its CID, None where none is installed under it. `charge` takes milligas under a
    name, and raises OutOfGas; it is None where installing is free.
    """

    load: Callable[[Cid], bytes | None]
    charge: Callable[[str, int], None] | None = None


class Runtime(Protocol):
    """Executes invocations of actors."""

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the method of `kernel.context` with the block `params` (0 = none).

        The module is `kernel.load_code(code)`. Every result of the guest is an Outcome: a return, an exit, a trap
        (exit 4). OutOfGas and Fatal propagate.
        """

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Run the code's `upgrade` for the receiver, which had other code until now.

        The blocks are the parameters (0 = none) and the CBOR tuple of the CID of that other code. Code without
        an `upgrade` exits with SYS_INVALID_RECEIVER. The rest is as for `invoke`.
        """

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Check and compile modules before their first invocation; raises InvalidModule if the rules refuse one.

        With `features`, those of a network, a module that needs another one is refused, too. `services` find the
        modules that others name, where the rules let them (the lab `libraries`).
        """
