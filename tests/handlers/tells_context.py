"""Answers what its context says."""


def handle(data, context):
    if data is None:
        return None
    properties = {name: value for name, value in context.system_properties.items() if name != "model_dir"}
    return [{"properties": properties, "name": context.model_name, "yaml": context.model_yaml_config}] * len(data)
