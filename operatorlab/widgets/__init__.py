"""Live panels for notebooks, and the HTML of the lab's objects.

`nodes.NodesPanel` and `operator.OperatorPanel` are the panels, `watch.watch(lab)` shows them while a cell
runs (`lab.watch()` is the short way), `html` draws objects. Import the modules: the lab's objects draw
their HTML without paying for ipywidgets.
"""
