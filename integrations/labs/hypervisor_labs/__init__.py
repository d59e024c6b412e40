"""Labs: experimental features on top of Filecoin's rules (`hypervisor.machine.rules`). Documentation: docs/labs.

Each lab is a module with a `LAB`, registered in `pyproject.toml`; the lab `libraries` is implemented by
`runtimes.wasm.linked`. Read `rules`, `lanes` (the smallest one) and `lab_runtimes` first.
"""

from __future__ import annotations

from typing import Final

from hypervisor.machine.rules import Lab, RuleSet

LAB_RULES: Final = RuleSet(
    machine="hypervisor.machine.rules:lab_executor",
    network="hypervisor_labs.rules:lab_rules",
    takes_features=True,
    takes_labs=True,
)


LIBRARIES: Final = Lab(
    what="shared library modules that native actors import by CID",
    machine="runtimes.wasm.linked:link_libraries",
)
