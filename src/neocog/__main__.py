"""`python -m neocog`, the same as `neocog`."""

from neocog.cli.devices import leave
from neocog.cli.main import main

leave(main())
