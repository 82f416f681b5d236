"""Gloo Mesh: the relay between its management server and its agents."""
