"""`mlagents-doctor`: what is wrong with this machine or with a file, and what to do about it.

`machine` looks at the environment, and imports nothing that can be broken there. The modules beside it run in processes
of their own: `probes` tries what may be broken, the others know files and import ML-Agents.
"""
