"""Table of docs/cheatcodes.md, from the code's table and the list of missing cheatcodes."""

from collections import defaultdict
from collections.abc import Iterator

from fvm_hypervisor.soltest.cheatcodes.signatures import MISSING
from fvm_hypervisor.soltest.cheatcodes.table import Cheatcode, table

SUPPORTED, PARTIAL, MISSES = "supported", "partial", "missing"


def cheatcodes() -> str:
    """Return the counts and the tables of cheatcodes."""
    return "\n".join(lines())


def lines() -> Iterator[str]:
    """Return the counts, forge's cheatcodes by name, and Filecoin's by signature."""
    entries = list(table().values())
    forge = [entry for entry in entries if not entry.filecoin]
    partial = sum(1 for entry in forge if entry.partial)
    yield (
        f"{len(forge) - partial} of forge's cheatcodes are supported, {partial} are partly supported, and "
        f"{len(MISSING)} are missing, counting overloads.\n"
    )
    yield "| cheatcode | | unsupported parts |"
    yield "|---|---|---|"
    for name, (mark, words) in sorted(names(forge).items()):
        yield f"| `{name}` | {mark} | {words} |"
    yield "\nFilecoin's own (`FilecoinVm.sol`):\n"
    yield from (f"- `{signature}`" for signature in sorted(entry.signature for entry in entries if entry.filecoin))


def names(forge: list[Cheatcode]) -> dict[str, tuple[str, str]]:
    """Return the two table columns of each cheatcode name."""
    have: dict[str, list[Cheatcode]] = defaultdict(list)
    lack: dict[str, list[str]] = defaultdict(list)
    for entry in forge:
        have[entry.name].append(entry)
    for signature in MISSING:
        lack[signature.split("(")[0]].append(signature)
    found = {}
    for name in {*have, *lack}:
        if name not in have:
            found[name] = MISSES, MISSING[lack[name][0]]
            continue
        words = sorted({entry.partial for entry in have[name] if entry.partial})
        words += [f"`{signature}`" for signature in lack[name]]
        found[name] = (PARTIAL if words else SUPPORTED), "; ".join(words)
    return found
