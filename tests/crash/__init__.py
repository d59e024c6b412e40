"""The crash and fault suite: kills, faults below RocksDB, faults of the medium. `make crash` runs it in full."""
