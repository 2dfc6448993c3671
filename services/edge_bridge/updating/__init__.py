"""The bridge brings, tries and becomes its own next release, or goes back to the one before."""
