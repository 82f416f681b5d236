"""Copies of the project, so that a test's stack file and state are its own."""

from __future__ import annotations

from pathlib import Path

from lab.project_copy import CHECKOUT, copy_program

PROJECT = CHECKOUT


def copy_project(directory: Path) -> Path:
    """Copy the program with its stack files into ``directory``, which is made, and return it."""
    return copy_program(directory, stack_files=True)
