from ts.torch_handler.base_handler import BaseHandler

class U2Net(BaseHandler):
def _norm_pred(self, d):
return d
