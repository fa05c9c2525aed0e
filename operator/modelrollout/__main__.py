"""`python -m modelrollout`: the operator."""

import sys

from modelrollout.wiring.build import main

if __name__ == "__main__":
    sys.exit(main())
