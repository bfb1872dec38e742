"""The command `mlagents-doctor`."""

import argparse
import sys
from collections.abc import Sequence

from mlagents_plugin_shared.doctor.machine.checks import all_checks
from mlagents_plugin_shared.doctor.machine.verdicts import PROBLEM, as_json, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks at the machine, or at a file.

    Args:
        arguments: of the command line, without its name; None for those of the process.

    Returns:
        0 where everything is fine or there are warnings only, 1 where there is a problem.
    """
    parser = argparse.ArgumentParser(
        prog="mlagents-doctor",
        description="Says whether ML-Agents works on this machine, and what to do where it does not.",
    )
    parser.add_argument("--json", action="store_true", help="for programs: JSON in place of the table")
    asked = parser.parse_args(arguments)
    checks = all_checks()
    print(as_json(checks) if asked.json else table(checks))
    return int(any(check.state == PROBLEM for check in checks))


if __name__ == "__main__":
    sys.exit(main())
