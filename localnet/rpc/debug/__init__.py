"""Methods that trace: geth's `debug_`, Parity's `trace_`, and Otterscan's.

The traces themselves are in `localnet.traces`. Read `traces` and `parity` first.
"""
