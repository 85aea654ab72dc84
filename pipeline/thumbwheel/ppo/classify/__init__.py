"""PPO for `classify` on logged `votes`: `improve` has the objective, `trainer` the loop that any loss on votes runs in.

Another loss on votes is a file like `baseline`.
"""
