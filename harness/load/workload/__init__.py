"""What is asked, and when: the same in every process that plays a part of it.

`arrival` schedules requests, `trace` reads them from records of others, `conversations` says how
long they are and what they share, `prompts` writes texts of exact token counts.
"""
