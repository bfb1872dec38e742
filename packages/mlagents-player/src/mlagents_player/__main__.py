"""`python -m mlagents_player`, which is what a launcher runs."""

import sys

from mlagents_player.cli import main

sys.exit(main())
