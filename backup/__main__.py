"""``python -m backup``."""

import sys

from backup.main import main

if __name__ == "__main__":
    sys.exit(main())
