"""Issuing CAs that a step-ca of Smallstep signs with, one step-ca for each generation."""
