"""Traces of tests: frames, names, call trees and stacks as text.

Read `frames`, `trace_text` and `stack_trace` first.
"""
