"""Labs (docs/labs): invariants of each lab over random programs, and the recorded runs of its page."""
