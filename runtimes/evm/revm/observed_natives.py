"""Native actors in a call that has an observer: the kernel runs them, as in a transaction (`native`).

The state tree gets the call's changes at its end, and the guest forgets what it holds.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import Transaction
from bridge.filecoin.receipts import Log
from runtimes.evm.revm.exchanges import Exchanges
from runtimes.evm.revm.guest import Command, Exit, Guest
from runtimes.evm.revm.native import NativeCalls
from runtimes.evm.revm.session import StateSession


class ObservedNatives:
    """The kernel's part of one call; the session of its `NativeCalls`."""

    def __init__(
        self, session: StateSession, guest: Guest, exchanges: Exchanges, go_on: Callable[[int, Exit], bytes]
    ) -> None:
        """`go_on` answers the guest's requests until an exit, and returns its message."""
        self.machine, self.aliases = session.machine, session.aliases
        self._session, self._guest, self._exchanges, self._go_on = session, guest, exchanges, go_on
        self.calls: NativeCalls

    def begin(
        self, call: Transaction, sender: EthAddress, mode: int, on_log: Callable[[EthAddress, Log], None]
    ) -> None:
        """Begin the call; `on_log` takes the events of actors that have the form of a log."""
        self._exchanges.begin_kernel()
        self.calls = self._session.begin_kernel(self, self._guest, call, sender, mode)
        self.calls.on_log = on_log

    def answer(self, exit_code: int, request: bytes, mode: int = 0) -> bytes | None:
        """Return the answer to a request of the guest; None if it must give up."""
        return self._session.answer(exit_code, request, mode)

    def go_on(self, _guest: Guest, exit_code: int, _mode: int, end: Exit) -> bytes:
        """Answer requests until an exit, and return its message."""
        return self._go_on(exit_code, end)

    def replay_now(self, mode: int) -> None:
        """Give the tracer the events until a stop, where the kernel reports what follows."""
        self._session.replay_now(mode)

    def logs(self, logs: tuple[tuple[EthAddress, Log], ...]) -> tuple[tuple[EthAddress, Log], ...]:
        """Return the call's logs, with the events of actors that have the form of one."""
        return self.calls.logs(logs)

    def keep(self) -> None:
        """Write the changes of the call, which has ended. Raises GuestFailure."""
        self.calls.end()
        self._guest.call(Command.KEEP)
        self._guest.call(Command.DRAIN)
        self._session.write_running(self._guest.output())
        self._exchanges.forget()
