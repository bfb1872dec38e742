"""A search for hyperparameters of a configuration: `nox -s tune -- configs/dqn/Basic.yaml`.

`space` says which keys are searched, and where. `tuning` asks optuna for values and tells it what came of them; every
trial, `trial`, trains some seeds, each in a process of its own, `training`. All that is known lies in its folder below
results/tune:
the study, a folder for each trial, and the best configuration so far, which `report` writes. A search that was killed
goes on where it was, in the middle of a training.
"""
