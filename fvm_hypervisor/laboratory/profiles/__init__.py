"""Labs: experimental features on top of Filecoin's rules (`hypervisor.machine.labs`). Documentation: docs/labs."""
