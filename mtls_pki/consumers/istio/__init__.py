"""Istio: istiod signs workloads below the trust anchor, and hands its roots to every proxy."""
