"""The command line: `nox -s results -- quick`."""

import argparse
import signal
import sys

from results import pretrained, running, suites


def main() -> int:
    """Runs a suite, lists the suites, or makes the page.

    Returns:
        The exit code: 1 where a training failed or something is asked for that there is not.
    """
    parser = argparse.ArgumentParser(prog="results", description="Every scene on several seeds, ours beside peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    for suite in suites.available():
        command = commands.add_parser(suite, help=f"train what suites/{suite}.yaml asks for, and make the page")
        command.add_argument("--only", default="", metavar="TEXT", help="trainings whose name contains it")
        command.add_argument("--jobs", type=int, metavar="N", help="at a time (default: the cores, less one)")
    commands.add_parser("list", help="the suites, what is done of them, and how long the rest takes")
    commands.add_parser(
        "page", help="make docs/results.md of the records, and what READMEs and configurations say of them"
    )
    commands.add_parser("models", help="copy the best models of tuned configs into the player's package")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C: trainings end with what started them
    try:
        if options.command == "list":
            _list()
        elif options.command == "page":
            _make_page()
        elif options.command == "models":
            for folder in pretrained.update():
                print(f"wrote {folder}")
        else:
            chosen = [training for training in suites.load(options.command) if options.only in training.name]
            failed = running.run(chosen, options.jobs)
            _make_page()
            return int(failed > 0)
    except suites.SuiteError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on.", file=sys.stderr)
        return 130
    return 0


def _list() -> None:
    for suite in suites.available():
        trainings = suites.load(suite)
        waiting = running.pending(trainings)
        print(f"{suite}: {running.describe(trainings, waiting, 1)}")
        for training in trainings:
            print(f"  {'  ' if training in waiting else 'ok'} {training.name}")


def _make_page() -> None:
    from results import claims, page  # matplotlib takes its time

    for file in [*page.make(), *claims.write()]:
        print(f"wrote {file}")


if __name__ == "__main__":
    sys.exit(main())
