"""The policy pack: rules of trust that hold whatever program declared the resources."""
