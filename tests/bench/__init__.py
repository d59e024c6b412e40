"""Tests of what runs long."""
