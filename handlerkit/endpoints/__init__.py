"""Who answers a Request: TorchServe's Python code in this process, and a real TorchServe."""
