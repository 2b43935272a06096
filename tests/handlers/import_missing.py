"""Does not load: what it imports is not installed."""

import a_module_nobody_has


def handle(data, context):
    return a_module_nobody_has.answer(data)
