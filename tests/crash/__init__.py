"""Crash and fault tests: kills, faults below RocksDB, write failures. `make crash` runs all of them."""
