"""Policies that explore: a stream of chance a policy, and what is kept of an agent goes by its global id."""
