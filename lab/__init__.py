"""The local control plane for development and tests; the Pulumi program never imports it."""
