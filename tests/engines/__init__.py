"""The EVM engines against each other on generated programs: every outcome, the state and the gas to the unit."""
