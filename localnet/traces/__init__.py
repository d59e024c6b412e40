"""What happened in a transaction, found by executing it again, and told for people and tools."""
