import asyncio


async def answer():
    return "answered"


def handle(data, context):
    return None if data is None else [asyncio.run(answer()) for _ in data]
