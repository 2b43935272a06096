"""Ray for RayServe, in a process of its own, so that this one stays clean and Ctrl-C reaches no Ray.

- driver: the script that runs there; it alone imports ray.
- cluster: its owner's side: the orders that it is given, and the Ray that it starts or joins.
- deployed_app: the folder of the app that is deployed, as of App.

May import supervision, app, targets and below.
"""
