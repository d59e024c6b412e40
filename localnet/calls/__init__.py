"""Calls and estimates that are made on a network and taken back, and what they may suppose."""
