"""The debugger of `hypervisor step`: steps a message forwards and backwards, over both runtimes.

Execution is deterministic, so a position is a counter (`positions`), and a step back is a new execution up to an
earlier position. The message runs on its own thread (`execution`), which waits inside a tracer (`listener`) while the
user inspects it (`views`). `session` has the commands; the terminal (`terminal`) and the Debug Adapter Protocol
(`adapter`) use it.

Read `session`, `execution` and `breakpoints` first.
"""
