"""The lossless record of a load, one row a request.

`rows` is what is kept of one request, `journal` the folder that several writers share, `parsing`
the process that reads recordings while another records, `backlog` what waits for it and `batches`
how its rows come back.
"""
