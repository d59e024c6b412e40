"""The lab `libraries`: a native actor's module imports functions of a library by its CID, `lib:<cid>`.

Terms, rules and gas: docs/labs/libraries.md. The native runtime implements it (`runtimes.wasm.linked_runtime`).
"""

from __future__ import annotations

from typing import Final

from hypervisor.labs import Lab

LAB: Final = Lab(
    what="native actors that share code: libraries, imported by their CIDs",
    machine="runtimes.wasm.linked_runtime:link_libraries",
)
