"""What the frontend itself answers with: the description of a model, and an OpenAPI document, in its own JSON.

- describe_model: GET /models/NAME and the model's own words. openapi: OPTIONS. gson: JSON as the frontend writes it.

Imports torchserve_facts and worker_death of the folder above. Another document is a file here.
"""
