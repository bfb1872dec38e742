"""A JSON Schema of ML-Agents' YAML, with the hyperparameters of each trainer, by a walk over the settings classes.

It is draft 7, which VS Code's and JetBrains' YAML support and check-jsonschema all take. What depends on another key,
hyperparameters on `trainer_type` and a sampler's parameters on `sampler_type`, is said by `if` and `then`: so an
editor offers the right keys, and an error names the key and not a list of all that might have been.
"""

import json
from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin
from urllib.parse import quote

import attr
from mlagents.trainers import settings as host

from mlagents_plugin_shared.doctor.field_texts import field_texts
from mlagents_plugin_shared.run.reading import HYPERPARAMETERS, host_trainers_with, is_hosts
from mlagents_plugin_shared.run.settings import CheckedSettings, host_ranges, ranges_in

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft, by the name that it has."""

Schema = dict[str, Any]
"""A schema, or a part of one."""

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_ALONE = "ppo"  # the trainer of a behaviour that names none


def schema(trainers: Mapping[str, type]) -> Schema:
    """The schema of a file.

    Args:
        trainers: by trainer type, the attrs class of its hyperparameters.
    """
    walk = _Walk(trainers)
    root = walk.object_of(host.RunOptions)
    root["properties"]["behaviors"] = {
        **_described(root["properties"]["behaviors"]),
        "type": "object",
        "additionalProperties": _object("behavior"),
    }
    root["properties"]["default_settings"]["allOf"] = [{"$ref": "#/definitions/behavior"}, _NAMES_ITS_TRAINER]
    root["properties"]["environment_parameters"] = {
        **_described(root["properties"]["environment_parameters"]),
        "type": ["object", "null"],
        "additionalProperties": _parameter(),
    }
    walk.add_behavior()
    walk.add_parameters()
    title = "ML-Agents training configuration"
    head = {"$schema": DRAFT, "title": title, "description": f"Trainers: {', '.join(sorted(trainers))}."}
    return {**head, "type": "object", **root, "allOf": _of_defaults(trainers), "definitions": walk.definitions}


class _Walk:
    """Goes over classes, and collects the definition of each.

    Attributes:
        definitions: by name.
    """

    def __init__(self, trainers: Mapping[str, type]) -> None:
        self.trainers = trainers
        self.definitions: dict[str, Schema] = {}

    def reference(self, class_type: type) -> Schema:
        """To the definition of a class, which is made with the first."""
        name = class_type.__qualname__.rpartition(".")[2]
        if name not in self.definitions:
            self.definitions[name] = {}  # it may contain itself
            self.definitions[name] = self.object_of(class_type)
        return {"$ref": f"#/definitions/{name}"}

    def object_of(self, class_type: type) -> Schema:
        """What a mapping with the keys of a class may hold; whether it may be null is said where it stands."""
        texts, fields = field_texts(class_type), attr.fields(class_type)
        default = _default_of(class_type)
        properties = {
            field.name: {
                **({"description": texts[field.name]} if field.name in texts else {}),
                **self.value(field.type),
                **_limits(class_type, field),
                **_default(default, field.name),
            }
            for field in fields
        }
        required = [field.name for field in fields if field.default is attr.NOTHING]
        whole: Schema = {"properties": properties, "additionalProperties": False}
        return {**whole, "required": required} if required else whole

    def value(self, kind: Any) -> Schema:
        """What may stand behind a key of a type."""
        if get_origin(kind) in (Union, UnionType):
            (chosen,) = (each for each in get_args(kind) if each is not type(None))
            return _or_null(self.value(chosen))
        if get_origin(kind) in (list, tuple):
            return self._sequence(kind)
        if get_origin(kind) is dict and get_args(kind)[1] in _TYPES:
            return {"type": "object", "additionalProperties": {"type": _TYPES[get_args(kind)[1]]}}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"enum": [member.value for member in kind]}
        if isinstance(kind, type) and attr.has(kind) and kind is not host.HyperparamSettings:
            # Beside a reference nothing else counts: hence allOf.
            return {"type": "object", "allOf": [self.reference(kind)]} if kind is not host.TrainerSettings else _OBJECT
        return {"type": _TYPES[kind]} if kind in _TYPES else {}

    def _sequence(self, kind: Any) -> Schema:
        items = get_args(kind)
        if get_origin(kind) is tuple:
            return {
                "type": "array",
                "items": [self.value(each) for each in items],
                "minItems": len(items),
                "maxItems": len(items),
            }
        return {"type": "array", "items": self.value(items[0])}

    def add_behavior(self) -> None:
        """A behaviour, whose trainer decides over its hyperparameters."""
        behavior = self.object_of(host.TrainerSettings)
        properties = behavior["properties"]
        properties["trainer_type"] = {**_described(properties["trainer_type"]), "enum": sorted(self.trainers)}
        properties["trainer_type"]["default"] = _ALONE
        properties[HYPERPARAMETERS] = {**_described(properties[HYPERPARAMETERS]), "type": "object"}
        properties["reward_signals"] = {**_described(properties["reward_signals"]), **self._reward_signals()}
        properties["framework"] = {"deprecationMessage": "ML-Agents has but one, PyTorch.", "description": "No effect."}
        behavior["allOf"] = [
            {"if": _names(name), "then": {"properties": {HYPERPARAMETERS: self._hyperparameters(name)}}}
            for name in sorted(self.trainers)
        ]
        self.definitions["behavior"] = behavior

    def _hyperparameters(self, name: str) -> Schema:
        class_type = self.trainers[name]
        own = self.object_of(class_type)
        if issubclass(class_type, CheckedSettings):
            own["properties"] = {**own["properties"], **_foreign(class_type, own["properties"])}
        self.definitions[f"{HYPERPARAMETERS}_{name}"] = own
        return _hyperparameters_of(name)

    def _reward_signals(self) -> Schema:
        signals = {kind.value: self.value(kind.to_settings()) for kind in host.RewardSignalType}
        return {"type": "object", "properties": signals, "additionalProperties": False, "minProperties": 1}

    def add_parameters(self) -> None:
        """Samplers, whose type decides over their parameters, and lessons."""
        kinds = [kind.value for kind in host.ParameterRandomizationType]
        self.definitions["sampler"] = {
            "properties": {
                "sampler_type": {"description": "How values are drawn.", "enum": kinds},
                "sampler_parameters": {"description": "Keys of that.", "type": "object"},
            },
            "required": ["sampler_type", "sampler_parameters"],
            "additionalProperties": False,
            "allOf": [
                {
                    "if": {"properties": {"sampler_type": {"const": kind.value}}, "required": ["sampler_type"]},
                    "then": {"properties": {"sampler_parameters": self.reference(kind.to_settings())}},
                }
                for kind in host.ParameterRandomizationType
            ],
        }
        lesson = self.object_of(host.Lesson)
        lesson["properties"]["value"] = {**_described(lesson["properties"]["value"]), **_number_or("sampler")}
        lesson["properties"]["name"]["type"] = ["string", "number"]
        self.definitions["lesson"] = lesson
        self.definitions["CompletionCriteriaSettings"].update(_OF_PROGRESS)
        curriculum = self.object_of(host.EnvironmentParameterSettings)
        curriculum["properties"]["curriculum"]["items"] = _object("lesson")
        curriculum["properties"]["curriculum"]["minItems"] = 1
        self.definitions["curriculum"] = curriculum
        self.definitions.pop("Lesson", None)
        self.definitions.pop("ParameterRandomizationSettings", None)


# `progress` is a share of max_steps, and ML-Agents refuses one that is none.
_OF_PROGRESS: Schema = {
    "if": {"properties": {"measure": {"const": "progress"}}, "required": ["measure"]},
    "then": {"properties": {"threshold": {"minimum": 0, "maximum": 1}}},
}
_OBJECT: Schema = {"type": "object"}
_NAMES_ITS_TRAINER: Schema = {"dependencies": {HYPERPARAMETERS: ["trainer_type"]}}


def _object(definition: str) -> Schema:
    return {"type": "object", "allOf": [{"$ref": f"#/definitions/{definition}"}]}


def _described(of: Schema) -> Schema:
    return {"description": of["description"]} if "description" in of else {}


def _or_null(of: Schema) -> Schema:
    if "enum" in of:
        return {**of, "enum": [*of["enum"], None]}
    kinds = of.get("type")
    return {**of, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]} if kinds else of


def _limits(class_type: type, field: Any) -> Schema:
    """The range of a field, in the keywords of a schema."""
    allowed = [*ranges_in(field.validator), *ranges_in(host_ranges(class_type).get(field.name))]
    limits: Schema = {keyword: limit for each in allowed for keyword, limit in each.limits.items()}
    is_text = str in (field.type, *get_args(field.type)) and get_origin(field.type) is not list
    if class_type in _OF_THE_RUN and is_text:  # ML-Agents takes a run_id of 7.
        limits["type"] = ["string", "number", *(["null"] if get_args(field.type) else [])]
    return {**limits, **({"minLength": 1} if is_text else {})}


_OF_THE_RUN = (host.EnvironmentSettings, host.EngineSettings, host.CheckpointSettings, host.TorchSettings)


def _default_of(class_type: type) -> Any:
    """Settings with all defaults; None where a key is required."""
    try:
        return class_type()
    except TypeError:
        return None


def _default(settings: Any, key: str) -> Schema:
    value = getattr(settings, key, None)
    if isinstance(value, Enum):
        return {"default": value.value}
    return {"default": value} if isinstance(value, (bool, int, float, str)) else {}


def _names(trainer_type: str) -> Schema:
    return {"properties": {"trainer_type": {"const": trainer_type}}, "required": ["trainer_type"]}


def _foreign(class_type: type, own: Mapping[str, Any]) -> Schema:
    """Keys of ML-Agents' own trainers, which may stand in the file of a plugin's and have no effect there."""
    keys = {key for each in _host_settings() for key in attr.fields_dict(each)} - set(own)
    return {
        key: {"deprecationMessage": f"A key of {', '.join(host_trainers_with(key))}, without effect here."}
        for key in sorted(keys)
    }


def _host_settings() -> list[type]:
    from mlagents.plugins import all_trainer_settings

    return [each for each in all_trainer_settings.values() if is_hosts(each)]


def _of_defaults(trainers: Mapping[str, type]) -> list[Schema]:
    """What a behaviour without a trainer may have: that of `default_settings` reads it."""
    nameless = {"not": {"required": ["trainer_type"]}}

    def then(what: Schema) -> Schema:
        return {"properties": {"behaviors": {"additionalProperties": {"if": nameless, "then": what}}}}

    default = {
        name: {"properties": {"default_settings": _names(name)}, "required": ["default_settings"]} for name in trainers
    }
    unnamed = {
        "not": {"properties": {"default_settings": {"required": ["trainer_type"]}}, "required": ["default_settings"]}
    }
    return [
        *(
            {"if": default[name], "then": then({"properties": {HYPERPARAMETERS: _hyperparameters_of(name)}})}
            for name in sorted(trainers)
        ),
        {"if": unnamed, "then": then(_NAMES_ITS_TRAINER)},
    ]


def _hyperparameters_of(name: str) -> Schema:
    return {"$ref": f"#/definitions/{HYPERPARAMETERS}_{quote(name)}"}


def _number_or(definition: str) -> Schema:
    return {
        "type": ["number", "object"],
        "if": {"type": "object"},
        "then": {"$ref": f"#/definitions/{definition}"},
    }


def _parameter() -> Schema:
    """An environment parameter: a number, a sampler or a curriculum."""
    return {
        "type": ["number", "object"],
        "if": {"type": "object"},
        "then": {
            "if": {"required": ["curriculum"]},
            "then": {"$ref": "#/definitions/curriculum"},
            "else": {"$ref": "#/definitions/sampler"},
        },
    }


def as_text(of: Schema) -> str:
    """A schema as the text of its file.

    Args:
        of: the schema.
    """
    return json.dumps(of, indent=1, ensure_ascii=False) + "\n"
