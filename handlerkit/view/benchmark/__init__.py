"""The display of a Bench.

- report: its figures. plot: them as a drawing.

May import bench, view.html, view.draw and below. Another figure is a function of report.
"""
