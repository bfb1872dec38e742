"""What every plugin has to do."""

from mlagents_plugin_shared.testing import contract

TestContract = contract(
    "a2c",
    {
        "max_steps": 6000,
        "time_horizon": 8,
        "hyperparameters": {"learning_rate": 3e-3, "buffer_size": 64},
        "network_settings": {"hidden_units": 32, "num_layers": 1},
    },
    tasks={
        "masks": {"max_steps": 12_000},
        "branches": {"max_steps": 12_000},
        "continuous": {"max_steps": 10_000},
        "hybrid": {"max_steps": 16_000},
        "fitting": {"max_steps": 10_000},
        "memory": {"max_steps": 16_000},
    },
    variants={
        "squashed": {"tanh_squash": True, "learning_rate_schedule": "linear", "beta": 0.01},
        "state-dependent": {"use_sde": True, "sde_sample_freq": 30, "optimizer": "rmsprop_tf"},
        "shared": {"shared_critic": True, "normalize_returns": True, "conditional_sigma": True},
    },
)
