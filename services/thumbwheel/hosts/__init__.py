"""What carries the servicers: `local.py` is the process of its own, `ray/` a cluster's replicas.

A new kind of host (another runtime, another cluster) is one more file or folder here; it takes the same registrations.
`calls.py` is what every call goes through on any host, `interceptors.py` leads a server's calls there, `status.py`
turns errors into statuses.
"""
