"""Who takes trust and leaves besides the declared Certificates: one folder and one row for each."""
