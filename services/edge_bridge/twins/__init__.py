"""Engines go to robots of the same hardware and come from them, through the hub, which trusts none of them."""
