"""Traces in the forms that Ethereum's tools read, made of the tracer's stream.

`frames` finds the calls that Ethereum knows; `call_tracer` (geth) and `parity` write them down. `struct_logs` (geth)
and `touched` (for geth's prestateTracer) listen to instructions. EIP-3155's lines are in `bridge.eip3155`.
"""
