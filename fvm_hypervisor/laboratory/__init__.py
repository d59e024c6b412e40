"""The laboratory: messages executed under rules of one's choice, what they cost, and where two executions part."""
