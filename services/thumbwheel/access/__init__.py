"""Who may call what: API keys, their scopes, how often, and who a call is of. Every door asks it first."""
