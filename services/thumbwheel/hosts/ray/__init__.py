"""A Ray cluster as the host: replicas of one Ray Serve deployment carry the servicers. Only here Ray is imported.

`cluster.py` starts or joins Ray and deploys, `ingress.py` is what a replica runs, `calls.py` leads its calls through
the same `hosts/calls.py` as on one host, `services.py` tells Ray's servers what there is to call. `keeper.py` knows
what replicas can't. `metrics.py` shows metrics where Ray's are, `workers.py` closes what Ray opens, `open_ports.py`
looks whether it is closed.
"""
