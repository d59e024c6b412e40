"""The machine: opening, execution of messages, calls between actors, and the choice of a runtime.

The operations of actors are in `hypervisor.kernel`. Read `machine`, `executor` and `call_manager` first.
"""
