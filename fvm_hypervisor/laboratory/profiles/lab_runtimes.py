"""The runtimes of labs' actors, whose code runs here and not as WASM (outbox, rent, nonces, archived actors)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar, Final

from fvm_hypervisor.laboratory.profiles.plain_params import paid_params
from hypervisor.blocks import Block
from hypervisor.errors import ActorExit, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel import Kernel
from hypervisor.runtime import InstallServices, Outcome, RuntimeServices
from hypervisor.types import NO_BLOCK, BlockId
from localnet.state.named_code import NamedCode
from store.cid import Cid

METHOD_GAS: Final = 500_000
"""Gas for a method's own work, in addition to its parameters, calls and blocks."""


def named_code(code: Cid, name: str) -> NamedCode:
    """Return the display name of a lab's actor, and its schema from the file of that name."""
    return NamedCode(code, name, (Path(__file__).parent / f"{name}.ipldsch").read_text("utf-8"))


class LabRuntime:
    """Base class of runtimes without a module (`hypervisor.runtime.Runtime`); a subclass implements `invoke`."""

    what: ClassVar[str]

    def __init__(self, services: RuntimeServices) -> None:
        """Accept the services without using them."""

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Refuse the upgrade: no actor receives this code by itself."""
        return Outcome(ExitCode.SYS_INVALID_RECEIVER, message=f"{self.what} has no `upgrade`")

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Do nothing: the actor has no module."""


class MethodsRuntime(LabRuntime, ABC):
    """Runs an actor with methods. Each costs `METHOD_GAS` and its parameters, as `charge`, before they are read."""

    charge: ClassVar[str]

    @abstractmethod
    def run(self, kernel: Kernel, params: Block | None) -> tuple[int, bytes] | None:
        """Run the method and return its codec and bytes. Raises ActorExit, and SyscallError from the kernel."""

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the method; OutOfGas and Fatal propagate."""
        try:
            answer = self.run(kernel, paid_params(kernel, self.charge, METHOD_GAS, params))
            return Outcome(ExitCode.OK, NO_BLOCK if answer is None else kernel.ipld.create(*answer))
        except ActorExit as ended:
            return Outcome(ended.code, message=ended.message)
        except SyscallError as refused:
            read_only = refused.number == ErrorNumber.READ_ONLY
            return Outcome(ExitCode.USR_READ_ONLY if read_only else ExitCode.USR_ILLEGAL_STATE, message=refused.message)
