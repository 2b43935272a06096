def handle(data, context):
    with open("labels.txt") as file:
        text = file.read()
    return None if data is None else [text] * len(data)
