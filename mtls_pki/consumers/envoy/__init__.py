"""Envoy: who has connections or requests open at its listeners."""
