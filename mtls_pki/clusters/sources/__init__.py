"""Where evidence comes from: one module for each kind of object, and one table."""
