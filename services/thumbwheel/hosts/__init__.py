"""What carries the servicers: `local.py` is the process of its own.

A new kind of host (another runtime, another cluster) is one more file here; it takes the same registrations.
`interceptors.py` is what every call goes through, `status.py` turns errors into statuses.
"""
