"""Who holds the issuing CA below an anchor: one folder for each, and one row in the table."""
