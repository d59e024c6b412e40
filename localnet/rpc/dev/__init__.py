"""Methods of development nodes: `anvil_`, `evm_`, `hardhat_` and `hypervisor_`.

Read `control`, `state` and `actors` first.
"""
