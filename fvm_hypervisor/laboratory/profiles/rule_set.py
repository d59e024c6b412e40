"""The rule set `lab`: Filecoin's rules with experimental profiles, registered in `pyproject.toml`."""

from typing import Final

from hypervisor.machine.rules import RuleSet

LAB: Final = RuleSet(
    machine="hypervisor.machine.labs:lab_executor",
    network="fvm_hypervisor.laboratory.profiles.rules:lab_rules",
    takes_features=True,
    takes_labs=True,
)
