"""The stack file: reading it and editing it."""
