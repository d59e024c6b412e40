"""Display of one case: contracts as mnemonics, messages, and the end of each call on both machines."""

from collections.abc import Iterator

from hypervisor.tracing import CallEnded, Recorder
from runtimes.evm.opcodes import FILECOIN_OPCODES
from tests.differential.twins import RUNNERS, Case, Twins

_LINE = 160


def show(twins: Twins, case: Case) -> int:
    """Print a case; return exit code 1 if the machines differ."""
    for address, account in case.accounts.items():
        print(f"0x{address.hex()} {account.balance} attoFIL, slots {account.storage or 'none'}")
        print(f"    {' '.join(disassembled(account.code))}")
    for call in case.calls:
        print(f"message to {'nobody' if call.to is None else call.to.hex()}: {call.value} attoFIL, 0x{call.data.hex()}")
    for name, twin in zip(RUNNERS, (twins.ours, twins.official), strict=True):
        recorder = twin.machine.tracer = Recorder()
        outcomes = list(twin.run(case))
        twin.machine.tracer = None
        print(f"--- {name}: {[(outcome.exit_code, outcome.gas) for outcome in outcomes]}")
        for event in recorder.events:
            if isinstance(event, CallEnded):
                words = f"{event.exit_code} {event.error} {event.message}"[:_LINE]
                print(f"    a call ends after {event.gas_used // 1000} gas: {words}")
    compared = twins.compare(case)
    print(f"{compared.difference or 'no difference'}{compared.by_gas and f'; {compared.by_gas}'}")
    return int(bool(compared.difference))


def disassembled(code: bytes) -> Iterator[str]:
    """Return mnemonics, with pushed numbers in hexadecimal."""
    position = 0
    while position < len(code):
        opcode = code[position]
        size = opcode - 0x5F if 0x60 <= opcode <= 0x7F else 0
        known = FILECOIN_OPCODES.get(opcode)
        pushed = code[position + 1 : position + 1 + size]
        yield f"0x{pushed.hex()}" if size else known.name if known else f"0x{opcode:02x}?"
        position += 1 + size
