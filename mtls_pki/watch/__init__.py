"""What monitoring sees of a trust domain: measures, and how Prometheus gets them."""
