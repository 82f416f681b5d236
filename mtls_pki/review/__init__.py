"""What a preview means for trust."""
