"""`python -m hxtorch.cli`, the same as `hxtorch`."""

import sys

from hxtorch.cli.app import main

sys.exit(main())
