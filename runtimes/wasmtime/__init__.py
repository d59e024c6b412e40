"""wasmtime as both runtimes use it: its C functions, engines with pinned settings, and compiled modules on disk."""
