def handle(data, context):
    if data is None:
        return None
    from matplotlib import pyplot

    pyplot.figure()
    return [str(len(pyplot.get_fignums()))] * len(data)
