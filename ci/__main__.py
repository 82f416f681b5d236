"""``python -m ci``."""

import sys

from ci.main import main

if __name__ == "__main__":
    sys.exit(main())
