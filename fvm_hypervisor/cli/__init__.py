"""The command `hypervisor`: thin commands over the rooms of fvm_hypervisor."""
