"""Progress of long operations: one line on a terminal, which is then cleared; no output elsewhere."""

import io

import pytest

from fvm_hypervisor.cli.progress import running_line


class Terminal(io.StringIO):
    """A standard error stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_line_is_written_over_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "48")
    show = running_line()
    assert show is not None
    show([("SlowTest.test_spin()", 2.4)])
    show([("SlowTest.test_spin()", 3.4), ("OtherTest.testFuzz_a(uint256)", 1.2)])
    show(())
    show(())
    assert terminal.getvalue().split("\r") == [
        "",
        "running for 2 s: SlowTest.test_spin()\x1b[K",
        "running for 3 s: SlowTest.test_spin() and 1 mor\x1b[K",
        "\x1b[K",
    ]


def test_nothing_is_written_into_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert running_line() is None
