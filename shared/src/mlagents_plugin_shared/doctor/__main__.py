"""`python -m mlagents_plugin_shared.doctor`, where the folder of scripts is not on the PATH."""

import sys

from mlagents_plugin_shared.doctor.machine.entry import main

if __name__ == "__main__":
    sys.exit(main())
