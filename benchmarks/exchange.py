"""The player's part of an exchange against ML-Agents' generated classes: `nox -s bench -- exchange`.

One decision of agents that observe 128 floats and take 2 continuous actions. Both ways start from the same arrays and
end in the same bytes, and start from the trainer's bytes and end in the same arrays of actions; they take turns in one
process. On Python 3.11 ML-Agents' protobuf is pure Python, on 3.10 it is compiled.
"""

import argparse
import platform

import numpy as np
from _timing import medians
from google.protobuf.internal import api_implementation
from mlagents_envs.base_env import ActionSpec, BehaviorSpec
from mlagents_envs.communicator_objects.unity_message_pb2 import UnityMessageProto

from mlagents_player import trainer_message, vector_observation, wire
from mlagents_player.academy import AgentInfos

FLOATS, ACTIONS = 128, 2
SPEC = BehaviorSpec([vector_observation(FLOATS)], ActionSpec(ACTIONS, ()))


def some_infos(agents: int) -> AgentInfos:
    """Decisions of some agents."""
    rng = np.random.default_rng(agents)
    return AgentInfos(
        ids=np.arange(agents, dtype=np.int32),
        rewards=rng.normal(size=agents).astype(np.float32),
        observations=[rng.normal(size=(agents, FLOATS)).astype(np.float32)],
        done=False,
        interrupted=np.zeros(agents, bool),
    )


def generated_encode(infos: AgentInfos) -> bytes:
    """The message, field by field."""
    message = UnityMessageProto()
    message.header.status = 200
    agents = message.unity_output.rl_output.agentInfos["Behavior"].value
    for row, agent in enumerate(infos.ids.tolist()):
        info = agents.add(id=agent, reward=float(infos.rewards[row]))
        spec = SPEC.observation_specs[0]
        observation = info.observations.add(shape=spec.shape, name=spec.name)
        observation.dimension_properties.extend(p.value for p in spec.dimension_property)
        observation.float_data.data.extend(infos.observations[0][row].tolist())
    return message.SerializeToString()


def answer(agents: int) -> bytes:
    """What the trainer answers."""
    message = UnityMessageProto()
    message.header.status = 200
    actions = message.unity_input.rl_input.agent_actions["Behavior"].value
    for row in np.random.default_rng(0).normal(size=(agents, ACTIONS)).tolist():
        actions.add(vector_actions_deprecated=row, continuous_actions=row)
    return message.SerializeToString()


def generated_decode(data: bytes) -> np.ndarray:
    """The actions, message by message."""
    message = UnityMessageProto.FromString(data)
    agents = message.unity_input.rl_input.agent_actions["Behavior"].value
    return np.array([list(agent.continuous_actions) for agent in agents], np.float32)


def main() -> None:
    """Read the command line, check that both ways agree, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, nargs="+", default=[1, 12, 64, 256])
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, protobuf: {api_implementation.Type()}; µs a decision\n")
    print("| agents | encode | generated | decode | generated | exchange | generated | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for agents in options.agents:
        infos, data = some_infos(agents), answer(agents)
        encoded = wire.encode_output({"Behavior": [infos]}, {"Behavior": SPEC})
        assert UnityMessageProto.FromString(encoded) == UnityMessageProto.FromString(generated_encode(infos))
        assert np.array_equal(trainer_message.read(data).actions["Behavior"].continuous, generated_decode(data))
        times = medians(
            {
                "encode": lambda: wire.encode_output({"Behavior": [infos]}, {"Behavior": SPEC}),  # noqa: B023
                "generated encode": lambda: generated_encode(infos),  # noqa: B023
                "decode": lambda: trainer_message.read(data),  # noqa: B023
                "generated decode": lambda: generated_decode(data),  # noqa: B023
            },
            options.repeats,
        )
        ours = times["encode"] + times["decode"]
        theirs = times["generated encode"] + times["generated decode"]
        print(
            f"| {agents} | {times['encode']:,.0f} | {times['generated encode']:,.0f} | {times['decode']:,.0f} | "
            f"{times['generated decode']:,.0f} | {ours:,.0f} | {theirs:,.0f} | {theirs / ours:.0f}x |"
        )


if __name__ == "__main__":
    main()
