"""The lab `libraries`: native (WASM) actors import functions from shared library modules, named `lib:<cid>`.

Terms, rules and gas: docs/labs/libraries.md. `runtimes.wasm.linked` implements it.
"""

from __future__ import annotations

from typing import Final

from hypervisor.machine.labs import Lab

LIBRARIES: Final = Lab(
    what="shared library modules that native actors import by CID",
    machine="runtimes.wasm.linked:link_libraries",
)
