"""Two targets under one load, in turn.

`turns` plays them, `compare` says whether B is worse than A, `replay` what that judgement is worth,
`share` how much of what a client waits for is the gateway's.
"""
