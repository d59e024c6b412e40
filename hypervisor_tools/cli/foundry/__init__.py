"""Commands that work on a Foundry project: `test`, `script`, `create`, and the verification of its contracts.

Tests and scripts are run by `hypervisor_tools.soltest`; this package has forge's options and the output. Read `test`,
`settings` and `contracts` first.
"""
