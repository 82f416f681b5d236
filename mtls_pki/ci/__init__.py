"""What the workflows do, as commands that run by hand too: ``mtls-pki ci``.

The workflow files of GitHub and GitLab call these and hold no logic of their own, so what decides
over a change of trust is tested like the rest (docs/review-workflows.md).
"""
