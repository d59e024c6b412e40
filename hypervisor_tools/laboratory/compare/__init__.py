"""Execution of the same messages under two configurations, their differences, and the costs of messages.

`laboratory.sides` has the configurations. Read `jobs`, `execution` and `tally` first.
"""
