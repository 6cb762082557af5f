"""What real servers answered to a fixed list of questions, kept, and held against the emulator.

`probes` is the list, `recording` asks and keeps, `shape` reduces an answer to what must be equal,
`comparison` lists what is not, and `accepted` says of each difference that remains why it does.
``python -m harness.engines.recordings`` renews a recording.
"""
