"""Runs a frame to its end; engine and machine alternate, so that neither is on the other's stack."""

from runtimes.evm.calls import execute_call
from runtimes.evm.create import execute_create
from runtimes.evm.engine import CallInputs, Engine, Frame, FrameOutcome
from runtimes.evm.host import FilecoinHost


def execute(engine: Engine, frame: Frame, host: FilecoinHost) -> FrameOutcome:
    """Start the frame and execute its calls until it ends."""
    step = engine.start(frame, host)
    while not isinstance(step, FrameOutcome):
        outcome = execute_call(host, step) if isinstance(step, CallInputs) else execute_create(host, step)
        step = engine.resume(outcome)
    return step
