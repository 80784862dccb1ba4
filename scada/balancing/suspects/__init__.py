"""Who is it? Non-technical loss of balance groups: members, meters and connections that explain what is missing.

Pure functions on arrays with axes (group, member, hour): `columns` stacks groups of unequal size, `joint` is way 1,
`history` way 2, `fused` ranks by both, `verdicts` names a cause and says why in numbers. `recalibration` and `leaks`
stand alone.
"""
