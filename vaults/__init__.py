"""What is read from a Vault or an OpenBao, and what it means; nothing here writes to one."""
