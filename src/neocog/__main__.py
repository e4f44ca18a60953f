"""`python -m neocog`, the same as `neocog`."""

import sys

from neocog.cli.main import main

sys.exit(main())
