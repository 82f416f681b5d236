"""The pulumi CLI: running it, its JSON, its findings."""
