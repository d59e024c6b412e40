"""The labs (docs/labs): each one's invariants over random programs, and the runs that its page names."""
