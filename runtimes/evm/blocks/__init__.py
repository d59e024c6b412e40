"""To be written: what this folder owns, and what it leaves to others."""
