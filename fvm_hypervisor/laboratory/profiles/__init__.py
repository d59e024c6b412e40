"""Labs: what the network may become, tried over Filecoin's rules (`hypervisor.labs`). Pages: docs/labs."""
