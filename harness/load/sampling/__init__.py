"""What engines say of themselves along a load, on one axis of time with the client's rows.

`sampling` starts and reads a process of its own (`sampler`) that asks for the metrics; `aligned`
joins its samples with what the client saw.
"""
