"""mTLS trust in Kubernetes as reviewed configuration."""
