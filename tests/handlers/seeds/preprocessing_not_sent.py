from ts.torch_handler.base_handler import BaseHandler
from preprocessing import Normalize, Rescale

class U2Net(BaseHandler):
    pass
