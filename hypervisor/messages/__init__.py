"""Messages and their parts: addresses, signatures, receipts and events.

Exit codes are in `hypervisor.exit_codes`, scalar types in `hypervisor.types`. Read `message`, `address` and
`signatures` first.
"""
