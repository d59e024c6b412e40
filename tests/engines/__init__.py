"""EVM engines compared with each other on generated programs: outcome, state and exact gas."""
