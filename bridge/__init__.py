"""Translation between the two worlds: addresses, parameters, calls, events and gas.

Everything here is a small function of its arguments; what needs state (resolving an address, sending) is done by
the runtime that calls it.
"""
