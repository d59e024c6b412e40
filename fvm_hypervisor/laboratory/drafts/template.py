"""The text of a new draft file: every table, empty, with an example in a comment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from fvm_hypervisor.laboratory.drafts.reading import MAX_NUMBER, OPCODES, PRECOMPILES
from hypervisor.errors import InvalidInput
from hypervisor.versions.network_versions import network_version

_NAME: Final = re.compile(r"(?:nv(?P<number>[1-9][0-9]{0,60}))?[a-z0-9-]{0,60}", re.ASCII)
_TEXT: Final = """\
# A draft network version. `--network FILE` uses it, see docs/network-versions.md.
name = "{name}"
number = {number}
base = {base}            # prices, rules and actors that this file does not change
epoch = {epoch:<12} # last epoch of nv{base} on a new chain; 0: it starts with nv{number}; omitted: upgrade on request

[prices]             # in gas, by the names of `hypervisor compare --list-prices --network nv{base}`
# block_persist_compute = 86_000

[rules]              # tipset_lookback, base_fee, ..., as in an overlay (docs/laboratory.md), and receipts
# base_fee = "fullness"
# receipts = "all"     # also of rewards and cron (FIP-0107)

[syscalls]           # features of ref-fvm: m2-native, upgrade-actor; and syscalls that actors lose
# enable = ["upgrade-actor"]
# disable = ["crypto.verify_post"]

[opcodes]            # of contracts: {opcodes}
# remove = ["CLZ"]

[precompiles]        # of contracts: {precompiles}
# remove = ["P256"]

[actors]             # another bundle (name, manifest root or CAR file), and modules by the name of their actor
# bundle = "own-v{actors}"
# ethaccount = "ethaccount.wasm"

[migration]          # Python file in this folder, which runs with your consent after epoch `epoch`
{mark}file = "{name}.py"
"""
_MIGRATION: Final = '''\
"""Migration to nv{number}. It runs once, at the end of the last epoch of nv{base}, after actors got new code."""


def migrate(context):
    """Rewrite states; see docs/network-versions.md#draft-versions."""

    def change(actor, head):
        (address,) = context.fields(head, "the account", 1)
        return context.put([address])

    context.rewrite("account", change)
'''


def new_draft(name: str, base: int, folder: Path, *, migrates: bool = False) -> Path:
    """Write the file of a new draft version into a folder, and return its path. Raises InvalidInput.

    A name such as nv30-draft contains the number; the default is the version after `base`. With `migrates`, the file
    of a migration is written too.
    """
    found = _NAME.fullmatch(name)
    if not name or found is None:
        raise InvalidInput(
            f"{name!r:.80} is not a valid name: expected lower-case letters, digits, hyphens: nv30-draft"
        )
    row = network_version(base)
    number = int(found["number"] or base + 1)
    if not base < number <= MAX_NUMBER:
        raise InvalidInput(f"nv{number} is not a draft of nv{base}: expected a number from {base + 1} to {MAX_NUMBER}")
    text = _TEXT.format(
        name=name, number=number, base=base, actors=row.actors, opcodes=", ".join(OPCODES),
        precompiles=", ".join(PRECOMPILES), mark="" if migrates else "# ", epoch=100 if migrates else 0,
    )  # fmt: skip
    if migrates:
        _write(folder / f"{name}.py", _MIGRATION.format(number=number, base=base))
    path = folder / f"{name}.toml"
    _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already: choose another name, or delete it") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None
