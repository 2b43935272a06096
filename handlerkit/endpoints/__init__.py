"""Who answers a Request: TorchServe's Python code in a process of its own, and a real TorchServe."""
