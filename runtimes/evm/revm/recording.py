"""The record of a running transaction for the machine's tracer, part by part (`record`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.ethereum.block import SYSTEM_ADDRESS
from hypervisor.tracing import Detail, GasCharged, Tracer
from runtimes.evm.forks.forks import Fork
from runtimes.evm.revm.guest import Guest
from runtimes.evm.revm.held import HeldState
from runtimes.evm.revm.protocol import Command, Mode
from runtimes.evm.revm.record import ActorNumbers, Codes, Replay

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState


class Recording:
    """The record of the guest, and its way to the tracer."""

    def __init__(self, machine: MachineState, held: HeldState) -> None:
        self._machine, self._held = machine, held
        self._codes = Codes()
        self._replay: Replay | None = None
        self._fork: Fork
        self._intrinsic = 0
        """Gas of the transaction before its first call."""
        self._has_system = False

    def forget(self) -> None:
        """Forget the codes of the state before."""
        self._codes.clear()

    def begin(self, tracer: Tracer, fork: Fork, mode: int, intrinsic: int) -> int:
        """Return the mode with which a transaction is recorded: the detail that the machine's tracer needs.

        `mode` has the other modes of the transaction; frames in Python report instructions themselves.
        """
        self._replay, self._fork, self._intrinsic = None, fork, intrinsic
        self._has_system = bool(mode & Mode.SYSTEM) or fork.transfer_logs
        if mode & Mode.PYTHON_FRAMES:
            return Mode.RECORD
        if tracer.detail is Detail.COUNTERS:
            return Mode.RECORD | Mode.RECORD_COUNTERS
        return Mode.RECORD | (Mode.RECORD_STEPS if tracer.detail else 0)

    @property
    def replay(self) -> Replay:
        """The events of the transaction, which the tracer gets."""
        if self._replay is None:
            tracer, manifest = self._machine.tracer, self._machine.manifest
            assert tracer is not None, "`Mode.RECORD` is set for a tracer"
            system = SYSTEM_ADDRESS if self._has_system else None
            numbers = ActorNumbers(self._machine.state_tree, self._held.actors, system)
            evm = manifest.code("evm")
            runtime = self._machine.registry.runtime_for(evm)[0]
            self._replay = Replay(tracer, self._fork, self._codes, numbers, (evm, runtime))
            if self._intrinsic:
                tracer.event(GasCharged("OnIntrinsicGas", self._intrinsic))
        return self._replay

    def take(self, guest: Guest) -> tuple[bytes, int]:
        """Return the next part of the record, and where its accounts begin."""
        guest.call(Command.TAKE_RECORD)
        record = guest.output()
        return record, self._codes.take(record)

    def report(self, guest: Guest) -> None:
        """Give the tracer the next part of the record."""
        self.replay.run(*self.take(guest))

    def report_stop(self, guest: Guest) -> None:
        """Give the tracer the events until a stop, where the kernel reports what follows."""
        self.report(guest)
        self.replay.stop()
