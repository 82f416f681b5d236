"""Measurements on the lab: what this project costs beside the plain tools, and how it grows."""
