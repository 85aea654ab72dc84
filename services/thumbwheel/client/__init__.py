"""The client library: ask a policy, show the answer, send the user's thumb back.

    from thumbwheel.client import Client

    with Client("127.0.0.1:7070") as client:
        answer = client.classify("Where is my parcel?", user="alice")
        answer.thumbs_up()

    with Client("models.example:7070", tls=Tls(ca_file="ca.pem"), api_key=key) as client:
        ...

`AsyncClient` has the same methods to await; `AdminClient` is for operators. It needs gRPC and the contracts'
stubs only. A new method of a service goes into `requests.py` (what is sent), `answers.py` (what comes back) and
both clients.
"""

from thumbwheel.client.admin import AdminClient
from thumbwheel.client.aio import AsyncClient
from thumbwheel.client.channel import Tls
from thumbwheel.client.sync import Client

__all__ = ["AdminClient", "AsyncClient", "Client", "Tls"]
