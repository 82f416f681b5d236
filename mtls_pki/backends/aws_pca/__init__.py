"""Issuing CAs in AWS Private CA, one ARN for each generation; AWS makes and keeps their keys."""
