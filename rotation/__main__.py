"""``python -m rotation``; the commands are in ``cli``, which reads clusters and files."""

import sys

from cli.main import main

sys.exit(main())
