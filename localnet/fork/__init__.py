"""Networks that begin where another one is."""
