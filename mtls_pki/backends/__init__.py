"""Who holds the issuing CAs."""
