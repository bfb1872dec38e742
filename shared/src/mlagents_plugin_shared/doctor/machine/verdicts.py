"""What came of a look at the machine, and how it is said: a table for people, JSON for programs."""

import json
from typing import NamedTuple

OK = "ok"
"""Nothing is to be done."""

WARNING = "warning"
"""ML-Agents works with it."""

PROBLEM = "problem"
"""ML-Agents or a plugin does not work."""


class Check(NamedTuple):
    """One line of the table.

    Attributes:
        subject: what was looked at.
        state: `ok`; `warning`, with which ML-Agents works; `problem`, with which it or a plugin does not.
        found: what it is.
        advice: what to do, and why; empty where nothing is to be done.
        commands: lines to type that do it, in this order.
    """

    subject: str
    state: str
    found: str
    advice: str = ""
    commands: tuple[str, ...] = ()


def table(checks: list[Check]) -> str:
    """The checks as a table, in characters that every console has, with what to do below.

    Args:
        checks: as they were made.
    """
    marks = {OK: "ok", WARNING: "WARNING", PROBLEM: "PROBLEM"}
    width = max(len(check.subject) for check in checks)
    lines = [f"{marks[check.state]:<8} {check.subject:<{width}}  {check.found}" for check in checks]
    for check in checks:
        if check.advice:
            lines += ["", f"{marks[check.state]}: {check.subject} {check.found}: {check.advice}"]
            lines += [f"    {command}" for command in check.commands]
    problems, warnings = (sum(check.state == state for check in checks) for state in (PROBLEM, WARNING))
    verdict = "ML-Agents works here." if not problems else f"{problems} to be put right."
    remark = f" {warnings} to know of." if warnings else ""
    return "\n".join([*lines, "", verdict + remark])


def as_json(checks: list[Check]) -> str:
    """The same for programs.

    Args:
        checks: as they were made.
    """
    is_fine = all(check.state != PROBLEM for check in checks)
    return json.dumps({"works": is_fine, "checks": [check._asdict() for check in checks]}, indent=2)
