"""Error handling of all commands: a one-sentence message, and an exit status by kind.

Status 2 is for invalid input: unknown options, malformed values, and missing or invalid files. Status 1 is for
failures. Text that an error quotes may be untrusted (an actor's, a server's), so control codes in it are escaped.
"""

from __future__ import annotations

import errno
import sys
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from fvm_hypervisor.cli.exit_status import FAILED, INTERRUPTED, MISUSED

_MAX_SHOWN: Final = 4000


class Refusing(TyperGroup):
    """A command group (`Typer(cls=Refusing)`) that prints errors in one sentence and exits with their status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was chosen."""
        from hypervisor.errors import HypervisorError, InvalidInput
        from store.blockstore import StoreError, StoreFormatError
        from store.car import CarError
        from store.codec import CodecError

        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except (InvalidInput, CarError, StoreFormatError) as error:
            _end([str(error)], MISUSED)
        except (HypervisorError, StoreError, CodecError) as error:
            has_lines = isinstance(error, HypervisorError) and error.has_lines
            _end(str(error).splitlines() if has_lines else [str(error)], FAILED)
        except (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
            _end([_error_text(error)], MISUSED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # broken pipe: typer exits without a message
                raise
            _end([_error_text(error)], FAILED)


def _error_text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename is not None and error.strerror else str(error)


def _end(lines: list[str], status: int) -> NoReturn:
    from hypervisor.printable import printable

    text = "\n".join(printable(line, _MAX_SHOWN) for line in lines)
    sys.stderr.write(f"error: {text}\n")
    raise typer.Exit(status) from None
