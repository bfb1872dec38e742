"""Whether ML-Agents works here. Nothing but the standard library and `packaging` is imported into this process.

What may be broken, ML-Agents, torch, NumPy and plugins, is tried in child processes of the same Python (`trials`,
`doctor.probes`), so that no import and no crash of theirs ends the doctor.
"""
