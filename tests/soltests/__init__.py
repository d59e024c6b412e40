"""Public Solidity suites, run by `hypervisor test` and by forge, and compared test by test: `make soltests`."""
