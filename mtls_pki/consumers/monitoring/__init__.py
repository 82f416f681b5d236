"""The exporter of a stack, as a workload of one of its clusters."""
