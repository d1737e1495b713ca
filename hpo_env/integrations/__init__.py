"""One module for each host that trains models, and one for each that draws what happened.

Import the module of the host that you use; it needs the extra of the same name, and nothing here is
imported before.
"""
