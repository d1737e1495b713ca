"""Policies that the package ships, one folder each; `Controller.from_pretrained` loads them."""
