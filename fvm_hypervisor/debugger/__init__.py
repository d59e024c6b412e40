"""The debugger behind `hypervisor step`: a message executed under control, forwards and backwards, over both runtimes.

A message is deterministic, so a place in its execution is a count (`positions`), and going back is running again. The
message runs on a thread of its own (`execution`) that waits inside a tracer (`listener`) while people look at it
(`views`). `session` has the commands; the terminal (`terminal`) and the Debug Adapter Protocol (`adapter`) translate.
"""
