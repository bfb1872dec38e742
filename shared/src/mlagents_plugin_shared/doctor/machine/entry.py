"""The command `mlagents-doctor`."""

import argparse
import io
import subprocess
import sys
from collections.abc import Sequence

from mlagents_plugin_shared.doctor.machine.checks import all_checks
from mlagents_plugin_shared.doctor.machine.verdicts import PROBLEM, as_json, table

CANNOT_READ = 3
"""Exit code of the process that reads files where ML-Agents cannot be imported."""

# The folder that it is started in is none of its packages, as with any script.
_READER = f"""
import sys
sys.path[:] = [folder for folder in sys.path if folder]
try:
    from mlagents_plugin_shared.doctor import file_command
except BaseException:
    sys.exit({CANNOT_READ})
from mlagents_plugin_shared.doctor.machine import entry
entry.print_what_the_console_has()
sys.exit(file_command.run(entry.parsed(sys.argv[1:])))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks at the machine, or at a file.

    Args:
        arguments: of the command line, without its name; None for those of the process.

    Returns:
        0 where everything is fine or there are warnings only, 1 where there is a problem.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    asked = parsed(arguments)
    print_what_the_console_has()
    is_about_files = asked.config is not None or asked.schema
    if is_about_files and (code := _read(arguments)) is not None:
        return code
    if is_about_files:
        print("ML-Agents cannot be imported here, so no file can be read. What is wrong:\n", file=sys.stderr)
    checks = all_checks()
    print(as_json(checks) if asked.json else table(checks))
    return int(is_about_files or any(check.state == PROBLEM for check in checks))


def print_what_the_console_has() -> None:
    """Has `?` printed for characters that the console's encoding lacks, such as cp437, where Python would raise."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command line.

    Args:
        arguments: as they were typed.
    """
    parser = argparse.ArgumentParser(
        prog="mlagents-doctor",
        description="Says whether ML-Agents works on this machine, and what to do where it does not.",
        epilog="Ends with 0 where all is fine or there are warnings only, and with 1 where there is a problem.",
    )
    parser.add_argument("config", nargs="?", help="a YAML for mlagents-learn: what is wrong in it, each with its line")
    parser.add_argument(
        "--convert-to", metavar="TRAINER", help="the file that this trainer should start from, to print"
    )
    parser.add_argument("--output", metavar="FILE", help="--convert-to and --schema write this new file")
    parser.add_argument("--schema", action="store_true", help="the JSON Schema of such files, with all trainers here")
    parser.add_argument("--json", action="store_true", help="for programs: JSON in place of lines")
    asked = parser.parse_args(arguments)
    if asked.schema and asked.config:
        parser.error("--schema is of all files: leave the file out")
    if asked.convert_to and not asked.config:
        parser.error("--convert-to needs a file to convert")
    if asked.output and not (asked.convert_to or asked.schema):
        parser.error("--output is for --convert-to and --schema")
    return asked


def _read(arguments: Sequence[str]) -> int | None:
    """Has another process do it, which imports ML-Agents; its exit code, None where it cannot be imported."""
    sys.stdout.flush()
    code = subprocess.run([sys.executable, "-W", "ignore", "-c", _READER, *arguments], check=False).returncode
    return code if code in (0, 1, 2) else None


if __name__ == "__main__":
    sys.exit(main())
