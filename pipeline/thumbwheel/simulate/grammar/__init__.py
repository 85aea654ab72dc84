"""The words of the help desk: one file a theme, each a tuple of `IntentRule`; a new intent is one more entry."""
