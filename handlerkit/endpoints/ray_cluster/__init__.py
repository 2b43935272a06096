"""Ray for RayServe, in a process of its own, so that this one stays clean and Ctrl-C reaches no Ray.

- driver: the script that runs there; it alone imports ray.
- cluster: its owner's side: the orders that it is given, and the Ray that it starts or joins.

May import http, supervision, folders and below. Another order is a method of Driver, which `Cluster.ask` calls by name.
"""
