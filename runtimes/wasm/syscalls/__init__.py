"""The syscalls, one module for each import module of the network's ABI, each handler in one form: check, charge, do,
return. What an operation means and costs is the kernel's; a handler only takes arguments out of the guest's memory and
puts results into it.
"""
