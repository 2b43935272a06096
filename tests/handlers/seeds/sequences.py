from ts.torch_handler.base_handler import BaseHandler
import torch.nn.utils.rnn as rnn_utils

class RNNHandler(BaseHandler):
    def initialize(self, context):
        self.initialized = True

    def preprocess(self, data):
        sequences = data["sequences"]
        # Pad sequences to uniform length.
        packed_sequences = rnn_utils.pack_sequence(sequences, enforce_sorted=False)
        return packed_sequences
