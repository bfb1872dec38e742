"""What every plugin has to do."""

from mlagents_plugin_shared.testing import contract

TestContract = contract(
    "dqn",
    {
        "max_steps": 1600,
        "time_horizon": 8,
        "hyperparameters": {
            "learning_rate": 5e-3,
            "batch_size": 32,
            "buffer_size": 5000,
            "steps_per_update": 4,
            "target_update_interval": 25,
            "exploration_steps": 800,
        },
        "network_settings": {"hidden_units": 32, "num_layers": 1},
    },
    tasks={
        "masks": {"max_steps": 2400},
        "entities": {"max_steps": 2000, "hyperparameters": {"steps_per_update": 8}},
        "memory": {"max_steps": 3000, "hyperparameters": {"batch_size": 64, "steps_per_update": 8}},
        "self-play": {"max_steps": 2000},
    },
    variants={
        "rmsprop": {"optimizer": "rmsprop", "learning_rate_schedule": "linear"},
        "prioritized": {"prioritized_replay": True, "tau": 0.01, "burn_in": 1},
        "ladder": {"exploration": "ladder", "exploration_repeat": 16},
        "rainbow": {"preset": "rainbow"},
        "btr": {"preset": "btr", "buffer_init_steps": 100},
    },
)
