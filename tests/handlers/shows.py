def handle(data, context):
    if data is None:
        return None
    display(data)  # noqa: F821
    return ["shown"] * len(data)
