"""Load profiles played by Locust: its users, its shapes, its messages.

Importing `harness.load.locusts.play` imports Locust, and with it gevent's patches: only files that
Locust loads do. Such a file is two lines::

    from harness.load.locusts.play import play
    LoadUser, LoadShape = play(Profile.of(my_plan))
"""
