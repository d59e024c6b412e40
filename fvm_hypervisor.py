"""The former name of `hypervisor_tools`: an editable installation from before the change imports it."""

raise ImportError("fvm_hypervisor is named hypervisor_tools now: run `make environment`, or `pip install -e .` again")
