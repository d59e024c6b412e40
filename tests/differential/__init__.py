"""Contracts on this project's EVM runtime compared with the official EVM actor: `make differential`.

The same calls go to two machines over one official bundle, which differ only in the runtime of contracts. Exit code,
return data, events and state root must be equal. Gas, which the EVM runtime derives, is reported as a ratio.
"""
