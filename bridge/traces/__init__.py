"""Traces in the formats of Ethereum tools, built from trace events.

`frames` extracts the calls that Ethereum knows; `tracers` formats them for geth and Parity. `struct_logs` (geth) and
`tracers.TouchedAccounts` (for geth's prestateTracer) are tracers of instructions. EIP-3155 lines are in
`bridge.evm_steps`.

Re-execution is in `localnet.traces`. Read `frames`, `tracers` and `struct_logs` first.
"""
