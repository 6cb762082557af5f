"""The highest load that keeps a promise, found on a live target.

`search` bisects on a scale of levels, `level` judges each by its stretches, `knee` says where more
load stops being worth its latency, and `finding` writes each visit down, so that a search can go
on where it stopped.
"""
