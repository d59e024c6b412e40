"""The laboratory: execute messages under chosen rules, report their gas, and compare executions."""
