from IPython import get_ipython


def handle(data, context):
    return None if data is None else [str(get_ipython())] * len(data)
