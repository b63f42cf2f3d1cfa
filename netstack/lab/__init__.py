"""Experiments on TCP: transfers over a shared, imperfect path in virtual time, measured, drawn and held against theory.

`scenario` says what is tried (a value), `simulation` runs it, `result` is what was measured (plain data), `report`,
`table` and `plot` show it, `campaign` runs many. `bottleneck` and `leg` are the path, `endpoint` a host on it.
"""
