"""What a chain keeps: tipsets, executions, candidates, settings, planned upgrades, and the index that finds them."""
