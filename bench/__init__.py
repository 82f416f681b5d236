"""Measurements on the lab: what this project costs next to the plain tools, and how it grows."""
