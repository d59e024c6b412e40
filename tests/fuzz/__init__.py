"""Coverage-guided fuzzing of everything that decodes external bytes. `make fuzz` runs each target for a minute."""
