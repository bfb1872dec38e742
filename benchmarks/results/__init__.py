"""Every scene on several seeds, ours beside their peers: `nox -s results`.

A suite (`suites/*.yaml`) lists who trains where, with which seeds. `running` trains as many at a time as there are
cores, less one, and goes on after a kill where it was; each finished training is one line in `records/`, which is
committed. `page` makes the results page, its tables and its plots, of these records and of nothing else.
"""
