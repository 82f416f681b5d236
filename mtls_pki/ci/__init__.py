"""What the workflows do, as commands that run by hand too: ``mtls-pki ci``.

The workflow files of GitHub and GitLab call these commands and hold no logic of their own. So the
code that decides about a change of trust is tested like the rest (docs/review-workflows.md).
"""
