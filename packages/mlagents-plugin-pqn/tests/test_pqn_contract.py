"""What every plugin has to do."""

from mlagents_plugin_shared.testing import contract

TestContract = contract(
    "pqn",
    {
        "max_steps": 6000,
        "time_horizon": 8,
        "hyperparameters": {
            "learning_rate": 5e-3,
            "batch_size": 64,
            "buffer_size": 256,
            "num_epoch": 4,
            "exploration_steps": 3000,
            "exploration_final_eps": 0.02,
        },
        "network_settings": {"hidden_units": 32, "num_layers": 1},
    },
    variants={
        "watkins": {"traces": "watkins", "optimizer": "radam", "learning_rate_schedule": "constant"},
        "ladder": {"exploration": "ladder", "exploration_repeat": 8},
        "noisy": {"noisy": True, "lambd": 0.0},
    },
)
