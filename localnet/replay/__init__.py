"""Re-execution of tipsets: of this chain, and of other networks' past tipsets.

Read `replay`, `past_replay` and `sources` first.
"""
