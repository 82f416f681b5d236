"""What is read from a Vault or an OpenBao, and what it means; all that writes is a login."""
