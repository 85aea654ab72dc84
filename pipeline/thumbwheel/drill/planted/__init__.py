"""Policies that are bad on purpose. To add one: a function that writes its folder, and a line in `PLANTS`."""
