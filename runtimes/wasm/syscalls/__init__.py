"""The syscalls: one module for each import module of the network's ABI.

Every handler has the form check, charge, do, return; `abi` checks the buffer that it writes to. The kernel defines what
an operation does and costs; a handler only reads arguments from the guest's memory and writes results to it.

Gas is charged by the kernel; `abi` charges what every syscall costs. Read `abi`, `table` and `ipld` first.
"""
