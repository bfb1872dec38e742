"""What every plugin has to do."""

from mlagents_plugin_shared.testing import contract

TestContract = contract(
    "flashsac",
    {
        "max_steps": 1600,
        "time_horizon": 8,
        "hyperparameters": {
            "learning_rate": 3e-3,
            "batch_size": 32,
            "buffer_size": 5000,
            "steps_per_update": 2,
            "actor_update_interval": 1,
            "target_sigma": 0.05,
            "target_entropy_ratio": 0.05,
        },
        "network_settings": {"hidden_units": 32, "num_layers": 1},
    },
    tasks={
        "masks": {"max_steps": 2400},
        "hybrid": {"max_steps": 2400},
        "entities": {"max_steps": 2000, "hyperparameters": {"normalization": "rms"}},
        "memory": {"max_steps": 3000, "hyperparameters": {"batch_size": 64, "normalization": "rms"}},
        # Its observation is always the same, of which batch normalisation leaves nothing.
        "self-play": {"max_steps": 2000, "hyperparameters": {"normalization": "rms"}},
    },
    vanishing={"learning_rate": 1e-12, "steps_per_update": 16},  # updates that change nothing, of which few will do
    variants={
        "sac": {"preset": "sac"},
        "crossq": {"preset": "crossq"},
        "xqc": {"preset": "xqc"},
        "flashsac": {"preset": "flashsac"},
        "prioritized": {"prioritized_replay": True, "n_step": 3, "burn_in": 1, "normalization": "rms"},
        "shared": {"shared_encoder": True, "noise_repeat": 1},
    },
)
