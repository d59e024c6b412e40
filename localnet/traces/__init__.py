"""What happened in a transaction, found by executing it again, for people and tools."""
