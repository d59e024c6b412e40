"""Labs: experimental features on top of Filecoin's rules (`hypervisor.labs`). Documentation: docs/labs."""
