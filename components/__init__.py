"""ComponentResources that declare trust: no cluster reads, no X.509 building, no config parsing."""
