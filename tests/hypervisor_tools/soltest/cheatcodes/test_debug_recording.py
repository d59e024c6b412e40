"""A debug recording is limited by instructions and the memory that they read, and reports that it was cut."""

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.cheatcodes import state
from hypervisor_tools.soltest.cheatcodes.state import DebugRecording, DebugStep

STEP = DebugStep((), bytes(1000), 0x20, 1, False, EthAddress(bytes(20)))


def test_recording_stops_at_instruction_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MAX_STEPS", 3)
    recording = DebugRecording()
    found = []
    for _ in range(5):
        recording.add(STEP)
        found.append((len(recording.steps), recording.is_cut))
    assert found == [(1, False), (2, False), (3, False), (3, True), (3, True)]


def test_recording_stops_at_step_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One instruction may read a mebibyte, and a test executes thousands of them."""
    monkeypatch.setattr(state, "MAX_STEP_MEMORY", 2500)
    recording = DebugRecording()
    for _ in range(3):
        recording.add(STEP)
    recording.add(STEP._replace(memory=b""))
    assert (len(recording.steps), recording.is_cut) == (2, True)
