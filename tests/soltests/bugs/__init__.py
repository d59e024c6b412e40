"""Thirty defects as fuzzing benchmarks have them, in words of our own, and who finds them after how many runs."""
