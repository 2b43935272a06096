"""Streams the body's letters, one a chunk; "~" is a pause, "!" breaks the stream off."""

import time

from ts.handler_utils.utils import send_intermediate_predict_response


def handle(data, context):
    if data is None:
        return None
    *letters, last = data[0]["body"]
    for letter in letters:
        if letter == "!":
            raise ValueError("asked to break off")
        if letter == "~":
            time.sleep(0.03)
            continue
        send_intermediate_predict_response([letter], context.request_ids, "one more", 200, context)
    return [last]
