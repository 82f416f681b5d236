"""The only code that reads live clusters."""
